"""WHERE to look and HOW: hyperparameters, named spaces, searchers and the rungs of ASHA."""
