"""The doctor: what a study's journal says about its ranges, its curves, its rungs and its cost."""
