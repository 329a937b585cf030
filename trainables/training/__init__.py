"""How any network is trained: it knows no task and no data."""
