"""HOW a trial trains: configuration, data, models, the loop; one small file knows Ray."""
