"""The image classifier: networks, batches and hyperparameters."""
