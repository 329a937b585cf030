"""Were there enough trials?"""

from __future__ import annotations

from collections.abc import Iterator

from tune_cluster.reports.course import course_of
from tune_cluster.reports.doctor.finding import PLAYBOOK, Advice, Finding
from tune_cluster.reports.doctor.trials import is_number, ranked
from tune_cluster.study.stored import StoredStudy

PER_DIMENSION = 5
"""Smallest number of trials with a value for each searched hyperparameter."""

LAST_SHARE, STEEP = 0.25, 0.2
"""In the last quarter of the epochs the best value may gain at most a fifth of the difference
between the median trial and the best one."""

TRIALS_RULE = (
    f"{PER_DIMENSION} trials for each searched hyperparameter; quasi-random search needs more in "
    f"more dimensions ({PLAYBOOK}, 'Why use quasi-random search')"
)
STEEP_RULE = (
    f"the last {LAST_SHARE:.0%} of the budget brings less than {STEEP:.0%} of the difference "
    "between the median trial and the best, unless it was the best trial that ran to its end"
)
BATCH_RULE = (
    "a batch size is compared with a learning rate of its own (Shallue et al. 2019, *Measuring the "
    "Effects of Data Parallelism*)"
)


def budget(study: StoredStudy) -> Iterator[Finding]:
    """Yield a finding about the number of trials, the end of the course, and batch sizes."""
    yield _trials(study)
    yield _course(study)
    yield _batch(study)


def _trials(study: StoredStudy) -> Finding:
    names = {one["name"] for one in study.about["space"]["parameters"]}
    valued, needed = len(ranked(study)), PER_DIMENSION * len(names)
    # More of what fails alone brings no value: the check of failures has the advice.
    few = bool(names) and 0 < valued < needed
    known, planned = len(study.state.trials), study.about["flags"].get("trials")
    coming = is_number(planned) and planned >= needed and study.state.ended < planned
    # As many more as have given no value.
    wanted = needed + known - valued
    so_far = f" so far, of {planned} planned" if coming else ""
    return Finding(
        check="trials",
        verdict="warn" if few and not coming else "pass",
        evidence=(
            f"{valued} trials with a value for {len(names)} searched hyperparameters{so_far}"
        ),
        rule=TRIALS_RULE,
        advice=(
            (Advice(text=f"run {wanted} trials", flags=(("--trials", str(wanted)),)),)
            if few and not coming
            else ()
        ),
        numbers=(("trials", valued), ("dimensions", len(names))),
    )


def _course(study: StoredStudy) -> Finding:
    course, trials = course_of(study), ranked(study)
    key, best = study.state.objective.key, study.state.best
    gain = 0.0
    if best is not None and len(trials) >= PER_DIMENSION and course.values:
        cut = (1 - LAST_SHARE) * course.epochs[-1]
        before = [at for at, spent in enumerate(course.epochs) if spent <= cut]
        middle = trials[len(trials) // 2].best
        whole = key(middle.value) - key(course.values[-1]) if middle else 0.0
        # More trials would not train the best one further: its epochs are judged by its curve.
        same = bool(before) and course.best_trials[before[-1]] == best.trial.index
        if before and whole > 0 and not (same and best.trial.status == "finished"):
            gain = (key(course.values[before[-1]]) - key(course.values[-1])) / whole
    steep = gain > STEEP
    return Finding(
        check="course",
        verdict="warn" if steep else "pass",
        evidence=(
            f"the last {LAST_SHARE:.0%} of the epochs brought {gain:.0%} of the difference between "
            "the median trial and the best"
        ),
        rule=STEEP_RULE,
        advice=(_more(study),) if steep else (),
        numbers=(("gain", round(gain, 4)),),
    )


def _more(study: StoredStudy) -> Advice:
    """Return the advice to spend more: the budget that has ended the study, or its trials."""
    limit = study.about["flags"].get("epoch_budget")
    if is_number(limit) and study.state.epochs_run >= limit:
        more = 2 * int(limit)
        return Advice(text=f"spend {more} epochs", flags=(("--epoch-budget", str(more)),))
    more = 2 * len(study.state.trials)
    return Advice(text=f"extend it to {more} trials", flags=(("--trials", str(more)),))


def _batch(study: StoredStudy) -> Finding:
    parameters = study.about["space"]["parameters"]
    names = {one["name"] for one in parameters}
    bad = "batch_size" in names and not any("learning_rate" in name for name in names)
    bad = bad and "lr" not in names
    return Finding(
        check="batch size",
        verdict="warn" if bad else "pass",
        evidence=(
            "batch sizes are compared at one learning rate, which suits one of them"
            if bad
            else "no batch size is compared without a learning rate of its own"
        ),
        rule=BATCH_RULE,
        advice=(
            (Advice(text="search the learning rate too", search=("learning_rate=log:1e-4:1",)),)
            if bad
            else ()
        ),
    )
