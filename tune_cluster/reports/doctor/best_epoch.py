"""When do the good trials have their best epoch? Then fewer epochs are enough, or more are better.

A learning rate that falls to 0 makes the end of any curve flat, of one that ends too early too. Of
such trials the end says nothing. Whether the training loss still fell while the rate was high does,
and whether it has gone below that of validation, as it does where a model has learnt what is there.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence

from search_spaces.trial_events import Epoch
from tune_cluster.reports.doctor.finding import PLAYBOOK, Advice, Finding
from tune_cluster.reports.doctor.long_curves import MOST_OF_THEM, SOURCE, curve, long_curves
from tune_cluster.reports.doctor.trials import is_number
from tune_cluster.study.state import TrialState
from tune_cluster.study.stored import StoredStudy

FEWEST = 3
"""Smallest number of epochs of a curve that may end too early: the fewer, the sooner."""

FIRST, LAST = 0.1, 0.75
"""Shares of a run: a best epoch before the first, and one after the last, are findings."""

STILL = 0.05
"""Share of the whole rise that the last quarter must add for a metric that still improves: a curve
that is flat has its best epoch late too, by noise. The gap of two losses counts from as much on."""

FALLEN, HIGH = 0.1, 0.5
"""Shares of the highest learning rate of a trial: the last one of a rate that falls is at most the
first share, and epochs at the second or above are those that the fall has not made flat."""

RULE = (
    f"the best epoch is not in the first {FIRST:.0%} of a run, and in most good trials not in the "
    "last quarter with a metric that still improves, or a validation loss that falls there as fast "
    f"as before ({SOURCE}); where the learning rate falls "
    f"below {FALLEN:.0%}, which makes each end flat, the training loss does not still fall where "
    f"the rate is above {HIGH:.0%}, or ends below that of validation by {STILL:.0%} of its fall "
    f"({PLAYBOOK}, 'Deciding how long to train each model')"
)


def best_epochs(study: StoredStudy) -> Iterator[Finding]:
    """Yield a finding about the epochs of a trial."""
    judged = long_curves(study, FEWEST)
    places = [_place(trial.best.epoch, trial.epochs) for trial in judged if trial.best]
    early = sum(place <= FIRST for place in places)
    late = sum(trial.best.epoch > _before_last(trial.epochs) for trial in judged if trial.best)
    falling = [trial for trial in judged if _lowest_last(curve(trial, "val_loss"))]
    epochs = max((trial.epochs for trial in judged), default=0)
    verdict, words = "pass", f"{early} have their best epoch early and {late} late"
    advice: tuple[Advice, ...] = ()
    if places and early >= MOST_OF_THEM * len(places):
        verdict, words = "warn", f"{early} have their best epoch in the first {FIRST:.0%}"
        fewer = max(3, math.ceil(epochs / 3))
        advice = (
            Advice(
                text=f"train for {fewer} epochs, or with a lower learning rate",
                flags=(("--max-epochs", str(fewer)),),
            ),
        )
    elif places and all(trial.status == "stopped" for trial in judged):
        # Their last epoch is that of a rung, and no longer run would move it.
        words = f"each was stopped by a rung, {late} of them with their best epoch late"
    elif places and late > LAST * len(places) and _still_improving(study, judged):
        verdict, advice = "warn", (_longer(study, epochs),)
        words = f"{late} have their best epoch in the last quarter, and still improve there"
    elif len(falling) > LAST * len(places) and _learn_to_the_end(judged):
        verdict, advice = "warn", (_longer(study, epochs),)
        words = (
            f"{len(falling)} have their lowest validation loss last, and it falls as fast as before"
        )
    elif cut := [trial for trial in judged if _cut_by_its_rate(trial)]:
        words += f"; {len(cut)} learnt until their learning rate fell"
        if len(cut) >= MOST_OF_THEM * len(places):
            verdict, advice = "warn", (_longer(study, epochs),)
            words = (
                f"{len(cut)} have a training loss not below that of validation, and learnt until "
                "their learning rate fell: their flat ends say nothing"
            )
    counted = f"of the {len(places)} best of the longest trials, "
    yield Finding(
        check="best epoch",
        verdict=verdict,  # type: ignore[arg-type]
        evidence=f"{counted}{words}" if places else f"no trial has {FEWEST} epochs",
        rule=RULE,
        advice=advice,
        numbers=(("early", early), ("late", late), ("of", len(places))),
    )


def _longer(study: StoredStudy, epochs: Epoch) -> Advice:
    # So long that the last rung is the end of this study: few trials pass it.
    factor = study.about["strategy"].get("reduction_factor")
    more = math.ceil(epochs * (factor if is_number(factor) else 2))
    return Advice(text=f"train for {more} epochs", flags=(("--max-epochs", str(more)),))


def _still_improving(study: StoredStudy, judged: Sequence[TrialState]) -> bool:
    objective = study.state.objective
    curves = [map(objective.key, curve(trial, objective.metric)) for trial in judged]
    gains = [gain for keys in curves if (gain := _last_gain([*keys])) is not None]
    return bool(gains) and statistics.median(gains) > STILL


def _lowest_last(losses: Sequence[float]) -> bool:
    """Return whether a curve is lowest in its last epoch."""
    return bool(losses) and losses[-1] <= min(losses)


def _learn_to_the_end(judged: Sequence[TrialState]) -> bool:
    """Return whether the validation loss falls at the end as fast as it has on average: then it has
    not bent, although an accuracy of few samples may be flat by noise."""
    gains = [_last_gain(curve(trial, "val_loss")) for trial in judged]
    known = [gain for gain in gains if gain is not None]
    return bool(known) and statistics.median(known) >= 1 - LAST


def _last_gain(values: Sequence[float]) -> float | None:
    """Return the share of the fall of a curve that its last quarter adds; None without a fall."""
    fall = values[0] - min(values) if values else 0.0
    return (min(values[: _before_last(len(values))]) - min(values)) / fall if fall > 0 else None


def _cut_by_its_rate(trial: TrialState) -> bool:
    """Return whether a trial would have learnt more in more epochs, although its end is flat: its
    learning rate has fallen, its training loss has not gone below that of validation by a share of
    the fall of this, and until half of the rate it still fell, if that were epochs enough to say
    so."""
    rates = curve(trial, "learning_rate")
    if len(rates) < len(trial.results) or not 0 <= rates[-1] <= FALLEN * max(rates):
        return False
    # Labels that are smoothed, say, make the loss that is minimised another one.
    train = curve(trial, "train_loss")
    validation = curve(trial, "val_objective") or curve(trial, "val_loss")
    if not train or not validation:
        return False
    if validation[-1] - train[-1] > STILL * (validation[0] - min(validation)):
        return False
    high = max(at for at, rate in enumerate(rates) if rate >= HIGH * max(rates)) + 1
    gain = _last_gain(train[:high])
    return high < FEWEST or (gain is not None and gain > STILL)


def _before_last(epochs: Epoch) -> int:
    """Return the number of epochs before the last quarter, the nearest whole one: rounded down, it
    would be the last third of 9 epochs."""
    return max(1, round(LAST * epochs))


def _place(epoch: Epoch, epochs: float) -> float:
    return float(epoch) / epochs if epochs else 0.0
