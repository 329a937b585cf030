"""HOW a job runs: connect, price, launch, journal, events, retention, failures."""
