"""Is the best trial better than others by more than noise?"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from itertools import pairwise

from tune_cluster.reports.confirm import Confirmation
from tune_cluster.reports.doctor.finding import PLAYBOOK, Advice, Finding
from tune_cluster.reports.doctor.long_curves import curve
from tune_cluster.reports.doctor.trials import ranked
from tune_cluster.study.state import TrialState
from tune_cluster.study.stored import StoredStudy

LOOKED_AT = 5
"""Number of the best trials whose late epochs estimate the noise."""

FEWEST_EPOCHS = 4

DECIDED = math.sqrt(2)
"""Smallest difference of the two best trials that decides, in standard deviations of one value."""

ALIKE = 3.0
"""Largest difference between the best trial and the median of those that ran to the end for a study
whose trials differ by noise alone, in the same unit."""

RULE = (
    f"the best trial is ahead of the median of those that ran to the end by {ALIKE:g} standard "
    f"deviations of the noise between epochs ({PLAYBOOK}, 'Understanding the sources of variance')"
)


CONFIRMED_RULE = (
    "the best is better than each other one over paired seeds (reports/verdict.py; Maron and Moore "
    "1994, 'Hoeffding Races')"
)


def noise_of(study: StoredStudy) -> float | None:
    """Return an estimate of the standard deviation of a value of the metric: that of the last
    quarter of the epochs of the best trials, around their line. A lower bound of the deviation
    between seeds; None without trials that are long enough."""
    found = [
        deviation
        for trial in _whole(study)[:LOOKED_AT]
        if (deviation := _late_deviation(trial, study.state.objective.metric)) is not None
    ]
    return statistics.median(found) if found else None


def rival(study: StoredStudy) -> TrialState | None:
    """Return the second best of the trials that have run as far as the best at its best epoch: of
    one that was stopped before, nobody knows how it would have gone on. None if there is none."""
    trials = ranked(study)
    if not trials:
        return None
    best = trials[0].best
    assert best is not None
    return next((trial for trial in trials[1:] if trial.epochs >= best.epoch), None)


def decided(study: StoredStudy) -> bool | None:
    """Return whether the best trial is ahead of its rival by more than noise; None if unknown."""
    best, second, noise = study.state.best, rival(study), noise_of(study)
    if noise is None or best is None or second is None:
        return None
    assert second.best is not None
    return abs(best.value - second.best.value) > DECIDED * noise


def noise(study: StoredStudy, confirmation: Confirmation | None = None) -> Iterator[Finding]:
    """Yield whether the trials differ by more than noise; a confirmation that is over decides."""
    if confirmation is not None and confirmation.over and confirmation.verdict is not None:
        tie = confirmation.verdict.kind == "tie"
        advice = Advice(text="take the cheapest of the tied, or confirm with more seeds (--seeds)")
        yield Finding(
            check="noise",
            verdict="warn" if tie else "pass",
            evidence=f"confirmed with seeds of their own: {confirmation.sentence}",
            rule=CONFIRMED_RULE,
            advice=(advice,) if tie else (),
        )
        return
    yield _alike(study)
    yield _decision(study)


def _decision(study: StoredStudy) -> Finding:
    sure, deviation = decided(study), noise_of(study)
    best, second = study.state.best, rival(study)
    evidence = "not judged: no trial ran for long enough, or none as far as the best"
    if sure is not None:
        assert best is not None
        assert second is not None
        assert second.best is not None
        ahead = abs(best.value - second.best.value)
        evidence = (
            f"{'decided' if sure else 'not decided until confirmed (tune-cluster confirm)'}: trial "
            f"{best.trial.index} is ahead of trial {second.index}, the next that ran as far, by "
            f"{ahead:.3g}, the noise between late epochs is {deviation:.3g}"
        )
    # Without a warning of its own: the best two of nearly every study are closer than noise.
    return Finding(
        check="decision",
        verdict="pass",
        evidence=evidence,
        rule=(
            f"a difference of less than {DECIDED:.2g} standard deviations of a value decides "
            "nothing; training again with other seeds does"
        ),
        numbers=(("decided", sure),),
    )


def _alike(study: StoredStudy) -> Finding:
    trials, deviation = _whole(study), noise_of(study)
    if deviation is None or len(trials) < LOOKED_AT:
        return Finding(
            check="noise",
            verdict="pass",
            evidence=f"not judged: {len(trials)} trials ran to the end, or too few epochs",
            rule=RULE,
        )
    values = [trial.best.value for trial in trials if trial.best]
    ahead = abs(values[0] - statistics.median(values))
    alike = ahead <= ALIKE * deviation
    return Finding(
        check="noise",
        verdict="warn" if alike else "pass",
        evidence=(
            f"the best of {len(values)} whole trials is ahead of their median by {ahead:.3g}, the "
            f"noise between late epochs is {deviation:.3g}"
        ),
        rule=RULE,
        advice=(
            (
                Advice(
                    text="train the best again with several seeds (tune-cluster confirm); what was "
                    "searched may not matter"
                ),
            )
            if alike
            else ()
        ),
        numbers=(("ahead", ahead), ("noise", deviation)),
    )


def _whole(study: StoredStudy) -> list[TrialState]:
    longest = max((trial.epochs for trial in study.state.trials.values()), default=0)
    return [trial for trial in ranked(study) if trial.epochs >= longest]


def _late_deviation(trial: TrialState, metric: str) -> float | None:
    values = curve(trial, metric)
    late = values[-max(FEWEST_EPOCHS, len(values) // 4) :]
    if len(values) < FEWEST_EPOCHS:
        return None
    steps = [b - a for a, b in pairwise(late)]
    # The difference of two independent values has twice the variance of one.
    return statistics.pstdev(steps) / math.sqrt(2)
