"""Callbacks for the training loops of other libraries: each saves, reports and resumes a trial.

Outside of a trial they do nothing. The library is imported by the module of its name alone.
"""
