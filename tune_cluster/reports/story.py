"""The story of one trial: its configuration beside others, and what happened to it, in order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from search_spaces.catalogue import value_in
from search_spaces.objective import shown_value
from search_spaces.trial_events import Decision, Event, Result, TrialEvent
from search_spaces.values import same
from tune_cluster.reports.trial_table import searched
from tune_cluster.study.events import Started
from tune_cluster.study.state import TrialState
from tune_cluster.study.stored import StoredStudy


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One searched hyperparameter of a trial."""

    name: str
    value: Any
    """Value of the trial; None if it has none."""
    default: Any
    """Default of the catalogue; None if it has none, or the trainable is not one of ours."""
    best: Any
    """Value of the study's best trial; None if it has none."""

    @property
    def is_default(self) -> bool:
        """Whether the trial has the default."""
        return self.default is not None and same(self.value, self.default)


@dataclass(frozen=True, kw_only=True)
class Moment:
    """Something that happened to a trial."""

    seconds: float | None
    """Seconds since the study began; None if unknown."""
    text: str

    @property
    def at(self) -> str:
        """Time as text, `0:01:23`; empty if unknown."""
        return "" if self.seconds is None else str(timedelta(seconds=int(self.seconds)))


@dataclass(frozen=True, kw_only=True)
class Story:
    """Course of one trial: configuration, rungs, nodes, errors."""

    trial: TrialState
    verdict: str
    """Its end, or its state, in one sentence."""
    settings: list[Setting]
    moments: list[Moment] = field(default_factory=list)
    log: str = ""
    """Last lines of its output, if it failed."""


def story_of(study: StoredStudy, index: int) -> Story:
    """Return the story of a trial.

    Raises:
        ValueError: the study has no such trial.
    """
    trials = study.state.trials
    if index not in trials:
        there = f"0 to {max(trials)}" if trials else "none"
        raise ValueError(f"the study has no trial {index}; its trials are {there}")
    trial, best = trials[index], study.state.best
    mine = trial.config_at(trial.best.epoch if trial.best else 1)
    others = best.trial.config_at(best.epoch) if best else {}
    # The catalogue has the defaults of our networks alone, whose jobs take --fix.
    known = "fix" in study.about.get("options", {})
    settings = [
        Setting(
            name=name,
            value=mine.get(name),
            default=_default(mine, name) if known else None,
            best=others.get(name),
        )
        for name in searched(study)
        if name in mine
    ]
    return Story(
        trial=trial,
        verdict=_verdict(study, trial),
        settings=settings,
        moments=list(_moments(study, index)),
        log=trial.log,
    )


def _default(config: dict[str, Any], name: str) -> Any:
    """Return the catalogue's default where the other values are those of `config`."""
    return value_in({key: value for key, value in config.items() if key != name}, name)


def _verdict(study: StoredStudy, trial: TrialState) -> str:
    metric = study.state.objective.metric
    end: str = trial.status
    if trial.status == "stopped" and trial.rung is not None:
        end = f"stopped at rung {trial.rung}"
    elif trial.reason:
        end = f"{trial.status}: {trial.reason}"
    epochs = f"{trial.epochs} epoch{'' if trial.epochs == 1 else 's'}"
    if trial.best is None:
        return f"{end}, after {epochs}, without a value of {metric}"
    better = study.state.objective.better
    values = [other.best.value for other in study.state.trials.values() if other.best]
    rank = 1 + sum(better(value, trial.best.value) for value in values)
    return (
        f"{end}, after {epochs}; {metric} {shown_value(trial.best.value)} in epoch "
        f"{trial.best.epoch}, rank {rank} of {len(values)}"
    )


def _moments(study: StoredStudy, index: int) -> Iterator[Moment]:
    metric = study.state.objective.metric
    times = (event.time for event in study.events if event.time is not None)
    began = next(times, None)
    epochs: list[Result] = []
    node = ""
    for event in study.events:
        if not isinstance(event, TrialEvent) or event.trial != index:
            continue
        if isinstance(event, Result):
            if epochs and (event.node or "") != node:
                yield _trained(epochs, metric, began)
                epochs = []
            node = event.node or ""
            epochs.append(event)
            continue
        text = _text(event, metric)
        if not text:
            continue
        if epochs:
            yield _trained(epochs, metric, began)
            epochs = []
        yield Moment(seconds=_since(event, began), text=text)
    if epochs:
        yield _trained(epochs, metric, began)


def _text(event: TrialEvent, metric: str) -> str:
    if isinstance(event, Started):
        return "started"
    if isinstance(event, Decision) and not event.stop:
        cutoff = "" if event.cutoff is None else f", cut-off {shown_value(event.cutoff)}"
        return (
            f"passed     rung {event.rung}: {metric} {shown_value(event.value)}{cutoff}, rank "
            f"{event.rank} of {event.of}"
        )
    return event.line(metric).replace(f" trial {event.trial} ", " ", 1)


def _trained(epochs: Sequence[Result], metric: str, began: float | None) -> Moment:
    first, last = epochs[0], epochs[-1]
    which = f"epoch {first.epoch}" if first is last else f"epochs {first.epoch} to {last.epoch}"
    values = [shown_value(v) for e in (first, last) if (v := e.metrics.get(metric)) is not None]
    course = " to ".join(values if first is not last else values[:1])
    where = f" on node {last.node}" if last.node else ""
    return Moment(seconds=_since(last, began), text=f"trained    {which}{where}: {metric} {course}")


def _since(event: Event, began: float | None) -> float | None:
    return None if event.time is None or began is None else max(0.0, event.time - began)
