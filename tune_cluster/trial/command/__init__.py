"""A user's command as a trial: its words, its process group, and its metrics."""
