"""WHAT to run: one short script per question; `runtime` and `findings` hold the mechanism."""
