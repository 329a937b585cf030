"""Predictions of networks, for inputs of any kind: classes, or numbers."""
