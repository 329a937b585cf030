"""The image classifier: its networks, its batches, its hyperparameters."""
