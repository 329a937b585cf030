"""Callbacks of a study: console, TensorBoard, retention of checkpoints, stopping, loggers."""
