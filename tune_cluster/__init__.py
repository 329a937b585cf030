"""A hyperparameter search cluster for PyTorch on Ray Tune: the engine."""

import sys

if sys.platform != "linux":
    raise ImportError(
        f"tune-cluster needs Linux, this is {sys.platform}: studies are locked by fcntl, and the "
        "output of trials is read from /proc"
    )
