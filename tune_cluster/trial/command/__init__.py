"""A person's command as a trial: its words, its process group, and the metrics that it writes."""
