"""Checks of the learning curves of the good trials."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from tune_cluster.reports.doctor.finding import Advice, Finding
from tune_cluster.reports.doctor.long_curves import MOST_OF_THEM, SOURCE, curve, long_curves
from tune_cluster.reports.overfitting import LOSSES, overfits_from
from tune_cluster.study.state import TrialState
from tune_cluster.study.stored import StoredStudy

FEWEST_EPOCHS = 5
"""Smallest number of epochs of a curve whose shape says anything."""

VARIANCE = 0.25
"""Largest share of the rise from the worst epoch to the best that two neighbouring late epochs may
differ by, as the root of the mean square: the best of ten epochs with such noise is ahead by a
quarter of the rise, by chance."""


def curves(study: StoredStudy) -> Iterator[Finding]:
    """Yield a finding for each check of the curves."""
    judged = long_curves(study, FEWEST_EPOCHS)
    for check, needed, found, verdict, words, rule, advice in (
        (
            "overfitting",
            LOSSES,
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
            (study.state.objective.metric,),
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
            LOSSES[:1],
            _rises,
            "fail",
            "the training loss rises over the run: a fault, or a learning rate that is too high",
            "the training loss falls",
            (Advice(text="look for a bug: signs, shuffled labels, a learning rate that grows"),),
        ),
    ):
        able = [trial for trial in judged if all(curve(trial, name) for name in needed)]
        if judged and not able:
            evidence = f"not judged: no trial reports {' and '.join(needed)}"
            yield Finding(check=check, verdict="pass", evidence=evidence, rule=f"{rule} ({SOURCE})")
        else:
            yield _share_of(judged, check, found, verdict, words, rule, advice)


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
    values = curve(trial, study.state.objective.metric)
    late = values[len(values) // 2 :]
    rise = abs(max(values) - min(values)) if values else 0.0
    if len(late) < 3 or rise == 0:
        return False
    # A power of a huge number is an error, a product is infinite.
    steps = [(b - a) * (b - a) for a, b in pairwise(late)]
    return math.sqrt(statistics.mean(steps)) > VARIANCE * rise


def _rises(trial: TrialState) -> bool:
    values = curve(trial, "train_loss")
    third = len(values) // 3
    if third < 1:
        return False
    first, last = statistics.mean(values[:third]), statistics.mean(values[-third:])
    return last > first + 0.01 * abs(first)
