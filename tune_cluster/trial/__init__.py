"""Code that runs in the process of a trial, around the trainable."""
