"""Datasets: where they are found, how they are read and split."""
