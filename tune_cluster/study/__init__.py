"""What is known of a study: its directory, its events, its state."""
