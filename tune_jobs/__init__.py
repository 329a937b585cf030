"""Job scripts: one short script per question."""
