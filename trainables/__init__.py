"""Trainables: configuration, data, models and the training loop of a trial."""
