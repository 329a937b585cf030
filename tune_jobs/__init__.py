"""What to run: one short script per question."""
