"""Do the rungs rank trials as later epochs do, and what may they have stopped?"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from search_spaces.trial_events import AGREEMENT, Epoch
from tune_cluster.reports.doctor.finding import Advice, Finding
from tune_cluster.study.state import TrialState
from tune_cluster.study.stored import StoredStudy

FEWEST = 6
"""Smallest number of trials with a value at a rung and at a later epoch."""

CORRELATION = 0.4
"""Smallest rank correlation (Spearman) of a rung with a later epoch."""

SURE = 0.95
"""Confidence with which the correlation is smaller, for a warning: few trials run on."""

KILLED = 1.0
"""Smallest number of stopped trials expected to be better than all that ran on, for a warning."""

RULE = (
    "the trials that ran on have at a rung the order that they have later, a rank correlation of "
    f"{CORRELATION:g} (Li et al. 2020, *Massively Parallel Hyperparameter Tuning*, assume one), "
    "corrected for what the rung has left of its range (Thorndike 1949, case 2); a study leaves a "
    f"rung out below an agreement of {AGREEMENT:.0%}"
)
KILLED_RULE = (
    f"fewer than {KILLED:g} of the trials that a rung stopped is expected to be better later than "
    "all that ran on, by the line through these and their deviation from it (as Domhan et al. 2015 "
    "stop a curve by its chance to become the best)"
)


def ranks(study: StoredStudy) -> Iterator[Finding]:
    """Yield a finding for each rung that does not rank, and one on what the rungs have stopped."""
    compared = list(_compared(study))
    found = [finding for rung in compared if (finding := _ranking(rung)) is not None]
    yield from found
    rungs = study.about["strategy"].get("rungs", [])
    if not found:
        seen = f"{len(compared)} of the rungs could be compared with later epochs; they rank"
        if not rungs:
            seen = "no trial is stopped at a rung"
        elif not compared:
            seen = f"not judged: no rung has {FEWEST} trials that ran on"
        yield Finding(check="ranks", verdict="pass", evidence=seen, rule=RULE)
    yield _killed(study, compared)


@dataclass(frozen=True, kw_only=True)
class _Rung:
    """A rung that was used, with what its trials became."""

    epoch: Epoch
    later: Epoch
    """The last rung, or epoch, that enough of its trials have reached."""
    above: Epoch
    """The next rung, or the last epoch."""
    values: Mapping[int, float]
    """Value at the rung of each trial that reached it, negative where smaller is better."""
    then: Mapping[int, float]
    """Value at `later` of those that reached that too, likewise."""

    @property
    def pairs(self) -> list[tuple[float, float]]:
        """Value at the rung and at `later` of each trial that has both."""
        return [(self.values[trial], then) for trial, then in self.then.items()]


def _compared(study: StoredStudy) -> Iterator[_Rung]:
    trials = list(study.state.trials.values())
    rungs = study.about["strategy"].get("rungs", [])
    last = max((trial.epochs for trial in trials), default=0)
    stations = [*(rung for rung in rungs if rung < last), last]
    for at, rung in enumerate(stations[:-1]):
        judged = study.state.judged.get(rung)
        if judged is not None and not judged.used:
            continue
        values = _values(study, trials, rung)
        for later in reversed(stations[at + 1 :]):
            then = {t: v for t, v in _values(study, trials, later).items() if t in values}
            if len(then) >= FEWEST and len({*then.values()}) > 1:
                above = stations[at + 1]
                yield _Rung(epoch=rung, later=later, above=above, values=values, then=then)
                break


def _values(study: StoredStudy, trials: list[TrialState], epoch: Epoch) -> dict[int, float]:
    objective = study.state.objective
    found = {t.index: t.results.get(epoch, {}).get(objective.metric) for t in trials}
    return {
        trial: -objective.key(float(value))
        for trial, value in found.items()
        if value is not None and math.isfinite(value)
    }


def _ranking(rung: _Rung) -> Finding | None:
    from scipy.stats import norm, rankdata, spearmanr

    pairs = rung.pairs
    observed = float(spearmanr(*zip(*pairs, strict=True)).statistic)
    if not math.isfinite(observed):
        return None
    places = dict(zip(rung.values, rankdata([*rung.values.values()]), strict=True))
    narrow = statistics.pstdev([places[trial] for trial in rung.then])
    wider = statistics.pstdev(places.values()) / narrow if narrow else 1.0
    # Fisher's transformation, whose deviation is 1 / sqrt(n - 3), of what was seen: the correction
    # makes the uncertainty of few trials in a narrow range larger too.
    seen = math.atanh(max(-0.999, min(0.999, observed)))
    bound = math.tanh(seen + float(norm.ppf(SURE)) / math.sqrt(len(pairs) - 3))
    correlation, largest = _in_range(observed, wider), _in_range(bound, wider)
    if largest >= CORRELATION:
        return None
    return Finding(
        check="ranks",
        verdict="warn",
        evidence=(
            f"rung {rung.epoch} does not rank: over {len(pairs)} trials its rank correlation "
            f"with epoch {rung.later} is {correlation:.2f}; it may have stopped good trials"
        ),
        rule=RULE,
        advice=(_later_rung(rung),),
        numbers=(("rung", rung.epoch), ("correlation", round(correlation, 3))),
    )


def _in_range(correlation: float, wider: float) -> float:
    """Return the correlation in a range that is `wider` times as wide (Thorndike 1949, case 2)."""
    return correlation * wider / math.sqrt(1 + correlation**2 * (wider**2 - 1))


def _killed(study: StoredStudy, compared: list[_Rung]) -> Finding:
    expected = {rung.epoch: _expected_better(study, rung) for rung in compared}
    worst = max(compared, key=lambda rung: expected[rung.epoch], default=None)
    if worst is None or expected[worst.epoch] < KILLED:
        few = f"no rung has {FEWEST} trials that ran on"
        most = f"at most {max(expected.values(), default=0.0):.2f} at a rung"
        return Finding(
            check="stopped trials",
            verdict="pass",
            evidence=f"stopped, and expected to be better than all that ran on: "
            f"{most if compared else few}",
            rule=KILLED_RULE,
        )
    count = expected[worst.epoch]
    return Finding(
        check="stopped trials",
        verdict="warn",
        evidence=(
            f"of the trials that rung {worst.epoch} has stopped, {count:.1f} are expected to be "
            f"better at epoch {worst.later} than all {len(worst.then)} that ran on"
        ),
        rule=KILLED_RULE,
        advice=(_later_rung(worst),),
        numbers=(("rung", worst.epoch), ("expected", round(count, 3))),
    )


def _expected_better(study: StoredStudy, rung: _Rung) -> float:
    """Return how many of the trials that a rung has stopped are expected to be better at the later
    epoch than all that ran on.

    Only those count whose value at the rung is within the range of the others': about worse ones
    these say nothing.
    """
    from scipy.stats import t as student

    pairs = rung.pairs
    values, later = ([*column] for column in zip(*pairs, strict=True))
    if len({*values}) < 2:
        return 0.0
    slope, intercept = statistics.linear_regression(values, later)
    freedom = len(pairs) - 2
    errors = [y - intercept - slope * x for x, y in pairs]
    squares = sum(error * error for error in errors)
    deviation = math.sqrt(squares / freedom * (1 + 1 / len(pairs)))
    stopped = [
        rung.values[trial.index]
        for trial in study.state.trials.values()
        if trial.status == "stopped" and trial.rung == rung.epoch
        if rung.values.get(trial.index, -math.inf) >= min(values)
    ]
    ahead = [max(later) - intercept - slope * value for value in stopped]
    if deviation == 0:
        return float(sum(distance < 0 for distance in ahead))
    return float(sum(student.sf(distance / deviation, freedom) for distance in ahead))


def _later_rung(rung: _Rung) -> Advice:
    return Advice(
        text=f"stop no trial before epoch {rung.above}; see what it has cost: tune-cluster audit "
        "STUDY --share 0.1",
        flags=(("--grace-period", str(rung.above)),),
    )
