"""Ensembles of the best trials: what they predict, combined, and scored."""
