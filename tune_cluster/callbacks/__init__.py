"""What is told of a study while it runs: TensorBoard, the terminal, who keeps checkpoints."""
