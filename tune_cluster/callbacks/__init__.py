"""What listens to a study: console, TensorBoard, retention of checkpoints, stopping."""
