"""Stored studies: directory, events, journal, state."""
