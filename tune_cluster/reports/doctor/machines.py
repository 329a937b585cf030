"""Data and machines: what a study was run on, and what of its time was lost."""

from __future__ import annotations

from collections.abc import Iterator

from search_spaces.trial_events import Ended, Result
from tune_cluster.reports.doctor.finding import Advice, Finding
from tune_cluster.reports.doctor.trials import ranked
from tune_cluster.study.events import Closed, Session, Started
from tune_cluster.study.stored import StoredStudy

HIDDEN = 0.2
"""Largest difference of accuracy and macro recall: above it small classes are wrong, and the
accuracy hides it."""

BUSY = 0.5
"""Smallest share of the time in which the places for trials are busy."""

LONG = 60.0
"""Smallest number of seconds of a study whose waiting is judged: starts of processes take some."""

LOST = 0.1
"""Largest share of the epochs that may be trained twice."""


def machines(study: StoredStudy) -> Iterator[Finding]:
    """Yield findings about the dataset, the balance of its classes, and the time of trials."""
    yield _dataset(study)
    yield _balance(study)
    yield _busy(study)
    yield _lost(study)


def _dataset(study: StoredStudy) -> Finding:
    notice = study.about["dataset"]["notice"].strip()
    leak = "duplicate" in notice.lower()
    fallback = notice.startswith("THIS STUDY RUNS ON")
    return Finding(
        check="dataset",
        verdict="fail" if fallback else "warn" if leak else "pass",
        evidence=notice.partition("\n")[0] or "the dataset that was asked for",
        rule="a study runs on the dataset that was asked for, without samples in two of its parts",
        advice=(Advice(text="bring the dataset, and run it again"),) if fallback else (),
    )


def _balance(study: StoredStudy) -> Finding:
    trials = ranked(study)
    best = trials[0] if trials else None
    metrics = best.results[best.best.epoch] if best and best.best else {}
    accuracy, recall = metrics.get("val_accuracy"), metrics.get("val_recall")
    hidden = (
        study.state.objective.metric == "val_accuracy"
        and accuracy is not None
        and recall is not None
        and accuracy - recall > HIDDEN
    )
    seen = "no accuracy with a recall is reported"
    if accuracy is not None and recall is not None:
        seen = f"the best trial has accuracy {accuracy:.3f} and macro recall {recall:.3f}"
    return Finding(
        check="imbalance",
        verdict="fail" if hidden else "pass",
        evidence=seen,
        rule=f"accuracy is at most {HIDDEN:g} above macro recall: else small classes are wrong",
        advice=(
            (
                Advice(
                    text="compare by macro F1, and weigh the classes",
                    fix=("class_weights=balanced",),
                    flags=(("--metric", "val_f1"),),
                ),
            )
            if hidden
            else ()
        ),
    )


def _busy(study: StoredStudy) -> Finding:
    running: dict[int, float] = {}
    at_work, span, most = 0.0, 0.0, 0
    last: float | None = None
    for event in study.events:
        if event.time is not None:
            if last is not None and most and not isinstance(event, Session):
                at_work += len(running) * max(0.0, event.time - last)
                span += max(0.0, event.time - last)
            last = event.time
        if isinstance(event, Started):
            running[event.trial] = event.time or 0.0
            most = max(most, len(running))
        elif isinstance(event, Ended):
            running.pop(event.trial, None)
        elif isinstance(event, (Closed, Session)):
            running.clear()
    share = at_work / (most * span) if most and span else 1.0
    enough = span >= LONG and len(study.state.trials) >= 2 * most
    idle = most > 1 and enough and share < BUSY
    return Finding(
        check="waiting",
        verdict="warn" if idle else "pass",
        evidence=f"{share:.0%} of the time of {most} places was used by trials",
        rule=f"the places for trials are busy for {BUSY:.0%} of the time",
        advice=(
            (Advice(text="look for slow nodes, slow storage, or rungs that wait for few trials"),)
            if idle
            else ()
        ),
        numbers=(("busy", round(share, 4)),),
    )


def _lost(study: StoredStudy) -> Finding:
    ran = sum(isinstance(event, Result) for event in study.events)
    lost = sum(trial.epochs_lost for trial in study.state.trials.values())
    share = lost / ran if ran else 0.0
    return Finding(
        check="retries",
        verdict="warn" if share > LOST else "pass",
        evidence=f"{lost} of {ran} epochs were lost and trained again",
        rule=f"at most {LOST:.0%} of the epochs are lost",
        advice=(
            (Advice(text="let the trainable save its state, or free memory of the machines"),)
            if share > LOST
            else ()
        ),
        numbers=(("share", round(share, 4)),),
    )
