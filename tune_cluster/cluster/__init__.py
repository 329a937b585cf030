"""The cluster: connecting to it or starting it, checks before the first trial, joining nodes."""
