"""All code that uses `ray.tune`."""
