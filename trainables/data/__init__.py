"""Datasets: finding, reading and splitting them."""
