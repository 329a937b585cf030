"""Checks of the learning curves of the good trials."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from search_spaces.trial_events import Epoch
from tune_cluster.reports.doctor.finding import PLAYBOOK, Advice, Finding
from tune_cluster.reports.doctor.trials import is_number, ranked
from tune_cluster.reports.overfitting import overfits_from
from tune_cluster.study.state import TrialState
from tune_cluster.study.stored import StoredStudy

LOOKED_AT = 10
"""Number of the best trials whose curves are judged, among those that ran to the end."""

FEWEST_EPOCHS = 5
"""Smallest number of epochs of a curve whose shape says anything."""

FEWEST_TO_IMPROVE = 3
"""Smallest number of epochs of a curve that may end too early: the fewer, the sooner."""

MOST_OF_THEM = 0.5
"""Share of the judged trials from which a finding is one."""

FIRST, LAST = 0.1, 0.75
"""Shares of a run: a best epoch before the first, and one after the last, are findings."""

VARIANCE = 0.25
"""Largest share of the rise from the worst epoch to the best that two neighbouring late epochs may
differ by, as the root of the mean square: the best of ten epochs with such noise is ahead by a
quarter of the rise, by chance."""

SOURCE = f"{PLAYBOOK}, 'Examining the training curves'"


def curves(study: StoredStudy) -> Iterator[Finding]:
    """Yield a finding for each check of the curves."""
    judged = _judged(study, FEWEST_EPOCHS)
    for check, found, verdict, words, rule, advice in (
        (
            "overfitting",
            lambda trial: overfits_from(trial) is not None,
            "warn",
            "the validation loss rises by 5% and more while the training loss falls",
            "the validation loss does not rise, by 5% of itself and of its fall before, while the "
            "training loss falls",
            (
                Advice(
                    text="search stronger regularization: dropout, weight decay, label smoothing, "
                    "augmentation; or train for fewer epochs",
                    search=("dropout=0.1:0.6", "weight_decay=log:1e-5:1e-1"),
                ),
            ),
        ),
        (
            "late variance",
            lambda trial: _varies(trial, study),
            "warn",
            "late epochs differ by much from their neighbours",
            f"neighbouring epochs of the last half differ by at most {VARIANCE:.0%} of the rise",
            (
                Advice(
                    text="let the learning rate fall at the end, or enlarge the batch",
                    fix=("schedule=cosine",),
                ),
            ),
        ),
        (
            "training loss",
            _rises,
            "fail",
            "the training loss rises over the run: a fault, or a learning rate that is too high",
            "the training loss falls",
            (Advice(text="look for a bug: signs, shuffled labels, a learning rate that grows"),),
        ),
    ):
        yield _share_of(judged, check, found, verdict, words, rule, advice)
    yield _best_epochs(study, _judged(study, FEWEST_TO_IMPROVE))


def _judged(study: StoredStudy, fewest: int) -> list[TrialState]:
    longest = max((trial.epochs for trial in study.state.trials.values()), default=0)
    whole = [t for t in ranked(study) if t.epochs >= longest and len(t.results) >= fewest]
    return whole[:LOOKED_AT]


def _share_of(
    judged: Sequence[TrialState],
    check: str,
    found: Callable[[TrialState], bool],
    verdict: str,
    words: str,
    rule: str,
    advice: tuple[Advice, ...],
) -> Finding:
    hits = [trial.index for trial in judged if found(trial)]
    bad = bool(judged) and len(hits) >= MOST_OF_THEM * len(judged)
    which = f"in {len(hits)} of the {len(judged)} best of the longest trials"
    return Finding(
        check=check,
        verdict=verdict if bad else "pass",  # type: ignore[arg-type]
        evidence=f"{which} {words}" if judged else f"no trial has {FEWEST_EPOCHS} epochs",
        rule=f"{rule} ({SOURCE})",
        advice=advice if bad else (),
        numbers=(("trials", len(hits)), ("of", len(judged))),
    )


def _varies(trial: TrialState, study: StoredStudy) -> bool:
    values = _values(trial, study.state.objective.metric)
    late = values[len(values) // 2 :]
    rise = abs(max(values) - min(values)) if values else 0.0
    if len(late) < 3 or rise == 0:
        return False
    steps = [(b - a) ** 2 for a, b in pairwise(late)]
    return math.sqrt(statistics.mean(steps)) > VARIANCE * rise


def _rises(trial: TrialState) -> bool:
    values = _values(trial, "train_loss")
    third = len(values) // 3
    if third < 1:
        return False
    first, last = statistics.mean(values[:third]), statistics.mean(values[-third:])
    return last > first + 0.01 * abs(first)


def _values(trial: TrialState, name: str) -> list[float]:
    found = (trial.results[epoch].get(name) for epoch in sorted(trial.results))
    return [float(v) for v in found if isinstance(v, (int, float)) and math.isfinite(v)]


def _best_epochs(study: StoredStudy, judged: Sequence[TrialState]) -> Finding:
    places = [_place(trial.best.epoch, trial.epochs) for trial in judged if trial.best]
    early = sum(place <= FIRST for place in places)
    late = sum(place > LAST for place in places)
    epochs = max((trial.epochs for trial in judged), default=0)
    verdict, words = "pass", ""
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
    elif places and late > 0.75 * len(places) and _still_improving(study, judged):
        verdict = "warn"
        words = f"{late} have their best epoch in the last quarter, and still improve there"
        # So long that the last rung is the end of this study: few trials pass it.
        factor = study.about["strategy"].get("reduction_factor")
        more = math.ceil(epochs * (factor if is_number(factor) else 2))
        advice = (Advice(text=f"train for {more} epochs", flags=(("--max-epochs", str(more)),)),)
    counted = f"of the {len(places)} best of the longest trials, "
    text = f"{counted}{words or f'{early} have their best epoch early and {late} late'}"
    return Finding(
        check="best epoch",
        verdict=verdict,  # type: ignore[arg-type]
        evidence=text if places else f"no trial has {FEWEST_TO_IMPROVE} epochs",
        rule=(
            f"the best epoch is not in the first {FIRST:.0%} of a run, and in most good trials not "
            f"in the last quarter with a metric that still improves ({SOURCE})"
        ),
        advice=advice,
        numbers=(("early", early), ("late", late), ("of", len(places))),
    )


STILL = 0.05
"""Share of the whole rise that the last quarter must add for a metric that still improves: a curve
that is flat has its best epoch late too, by noise."""


def _still_improving(study: StoredStudy, judged: Sequence[TrialState]) -> bool:
    key = study.state.objective.key
    gains = []
    for trial in judged:
        keys = [key(value) for value in _values(trial, study.state.objective.metric)]
        before = keys[: max(1, math.floor(LAST * len(keys)))]
        rise = keys[0] - min(keys) if keys else 0.0
        if keys and rise > 0:
            gains.append((min(before) - min(keys)) / rise)
    return bool(gains) and statistics.median(gains) > STILL


def _place(epoch: Epoch, epochs: float) -> float:
    return float(epoch) / epochs if epochs else 0.0
