"""HOW a job runs: connect, preflight, launch, journal, events, retention, failures."""
