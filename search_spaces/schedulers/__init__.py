"""Which trials go on: rungs, populations, or all of them."""
