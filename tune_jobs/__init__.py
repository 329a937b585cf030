"""WHAT to run: one short script per question."""
