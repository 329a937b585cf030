"""Schedulers: which trials continue, by rungs, by a population, or all of them."""
