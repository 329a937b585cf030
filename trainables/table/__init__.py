"""Tables of numbers and categories: reading, preparation, networks and hyperparameters."""
