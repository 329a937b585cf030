"""A hyperparameter search cluster for PyTorch on Ray Tune: the engine."""
