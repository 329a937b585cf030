"""Overfitting in the curves of a trial: the validation loss rises while the training loss falls."""

from __future__ import annotations

import math
import statistics

from search_spaces.trial_events import Epoch
from tune_cluster.study.state import TrialState

LOSSES = ("train_loss", "val_loss")
"""Metrics that are compared, if a trial reports both."""

RISE = 0.05
"""Smallest rise of the validation loss above its minimum that counts, as a share of it and of how
far it has fallen to it: smaller ones are noise between epochs."""

FEWEST_EPOCHS = 3
"""Smallest number of epochs after the minimum."""


def overfits_from(trial: TrialState) -> Epoch | None:
    """Return the epoch of the lowest validation loss, if the trial overfits after it; else None.

    At its end the validation loss, the median of its last three epochs, is higher by `RISE`, and
    the training loss lower, than there: the lowest of many epochs with noise is low by chance, and
    a single one that follows is as often above it. A loss that has fallen from 2.3 to 0.02 does not
    rise to 0.03 by overfitting that matters.
    """
    train, validation = (_curve(trial, name) for name in LOSSES)
    if not train or not validation:
        return None
    lowest = min(validation, key=lambda epoch: (validation[epoch], epoch))
    after = [epoch for epoch in validation if epoch > lowest]
    if len(after) < FEWEST_EPOCHS or lowest not in train or after[-1] not in train:
        return None
    fallen = next(iter(validation.values())) - validation[lowest]
    least = RISE * max(abs(validation[lowest]), fallen)
    end = statistics.median(validation[epoch] for epoch in after[-FEWEST_EPOCHS:])
    risen = end > validation[lowest] + least
    return lowest if risen and train[after[-1]] < train[lowest] else None


def _curve(trial: TrialState, name: str) -> dict[Epoch, float]:
    found = {}
    for epoch in sorted(trial.results):
        value = trial.results[epoch].get(name)
        if isinstance(value, (int, float)) and math.isfinite(value):
            found[epoch] = float(value)
    return found
