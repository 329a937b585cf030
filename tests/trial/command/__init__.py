"""A person's command as a trial."""
