"""All that touches `ray.tune`."""
