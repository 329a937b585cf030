"""What a network predicts, for inputs of any kind: classes, or numbers."""
