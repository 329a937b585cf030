"""A page of the studies in a folder, live, on this machine alone."""
