"""Training of any network, independent of task and data."""
