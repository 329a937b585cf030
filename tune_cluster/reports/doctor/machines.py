"""Machines: how much of their time was used by trials, and what of it was lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from search_spaces.trial_events import Ended, EpochsLost, Event, Promoted, Result
from tune_cluster.duration import duration
from tune_cluster.reports.doctor.finding import Advice, Finding
from tune_cluster.reports.doctor.trials import is_number
from tune_cluster.study.events import Closed, Retried, Session, Started
from tune_cluster.study.stored import StoredStudy

BUSY = 0.5
"""Smallest share of the time in which places for trials, or GPUs, are used."""

LONG = 60.0
"""Smallest number of seconds of a study whose waiting is judged: starts of processes take some."""

LOST = 0.1
"""Largest share of the time, or of the epochs, that may be lost to restarts."""


def machines(study: StoredStudy) -> Iterator[Finding]:
    """Yield findings about the places for trials, the GPUs, and the time lost to restarts."""
    usage = Usage()
    for event in study.events:
        usage.take(event)
    yield _busy(study, usage)
    yield _gpus(study, usage)
    yield _lost(study, usage)


@dataclass
class Usage:
    """Time of the places for trials, from the events of a study; the time between two sessions
    does not count."""

    at_work: float = 0.0
    """Seconds of all trials together, those that were lost among them."""
    span: float = 0.0
    """Seconds since the first trial started."""
    most: int = 0
    """Largest number of trials at once."""
    lost: float = 0.0
    """Seconds of trials whose results were lost, and of waiting until they ran again."""
    restarts: int = 0
    """Number of restarts of trials after an error or the loss of their process."""
    _running: set[int] = field(default_factory=set)
    _reached: dict[int, dict[float, float]] = field(default_factory=dict)
    """Time at which a trial has completed each epoch, by trial; of its start as epoch 0."""
    _broken: dict[int, float] = field(default_factory=dict)
    """Time since which a restarted trial has lost what it does, by trial."""
    _last: float | None = None

    def take(self, event: Event) -> None:
        """Take in the next event."""
        now = event.time
        if now is None:
            return
        if self._last is not None and self.most and not isinstance(event, Session):
            passed = max(0.0, now - self._last)
            self.at_work += len(self._running) * passed
            self.span += passed
        self._last = now
        if isinstance(event, (Closed, Session)):
            self._running.clear()
            self._reached.clear()
            self._broken.clear()
        elif isinstance(event, Started):
            self._running.add(event.trial)
            self.most = max(self.most, len(self._running))
            self._mend(event.trial, now)
            self._reached.setdefault(event.trial, {0: now})
        elif isinstance(event, Promoted):
            # It continues in a place of its own, without a start.
            self._running.add(event.trial)
            self.most = max(self.most, len(self._running))
            epochs = self._reached.setdefault(event.trial, {0: now})
            epochs[max(epochs)] = now
        elif isinstance(event, Result):
            self._mend(event.trial, now)
            self._reached.setdefault(event.trial, {})[event.epoch] = now
        elif isinstance(event, Retried):
            self.restarts += 1
            self._break(event.trial, event.epoch, now)
        elif isinstance(event, EpochsLost):
            self._break(event.trial, event.first, now)
            self._mend(event.trial, now)
        elif isinstance(event, Ended):
            self._mend(event.trial, now)
            self._running.discard(event.trial)

    def _break(self, trial: int, epoch: float, now: float) -> None:
        """Note that what a trial did since it began `epoch` is lost."""
        reached = self._reached.get(trial, {})
        kept = {past: time for past, time in reached.items() if past < epoch}
        since = max(kept.values(), default=now)
        self._broken[trial] = min(since, self._broken.get(trial, since))
        self._reached[trial] = kept

    def _mend(self, trial: int, now: float) -> None:
        """Note that a trial is at work again where it was."""
        if trial in self._broken:
            self.lost += max(0.0, now - self._broken.pop(trial))
            self._reached[trial][max(self._reached[trial], default=0)] = now


def _busy(study: StoredStudy, usage: Usage) -> Finding:
    share = usage.at_work / (usage.most * usage.span) if usage.span else 1.0
    enough = usage.span >= LONG and len(study.state.trials) >= 2 * usage.most
    idle = usage.most > 1 and enough and share < BUSY
    return Finding(
        check="waiting",
        verdict="warn" if idle else "pass",
        evidence=f"{share:.0%} of the time of {usage.most} places was used by trials",
        rule=f"the places for trials are used for {BUSY:.0%} of the time",
        advice=(
            (Advice(text="look for slow nodes, slow storage, or rungs that wait for few trials"),)
            if idle
            else ()
        ),
        numbers=(("busy", round(share, 4)), ("places", usage.most)),
    )


def _gpus(study: StoredStudy, usage: Usage) -> Finding:
    there = float(study.about.get("cluster_gpus") or 0.0)
    given = study.about["flags"].get("gpus_per_trial")
    each = float(given) if is_number(given) else 0.0
    used = usage.at_work * each / (there * usage.span) if there and usage.span else 1.0
    idle = bool(there and usage.span) and used < BUSY and (usage.span >= LONG or not each)
    evidence = "the cluster had no GPU"
    advice = Advice(text="give trials the GPUs", flags=(("--gpus-per-trial", "1"),))
    if there and not each:
        evidence = f"the cluster had {there:g} GPU{'s'[: there != 1]}, and no trial was given one"
    elif there:
        evidence = f"trials had {used:.0%} of the time of {there:g} GPU{'s'[: there != 1]}"
        advice = Advice(
            text="run more trials at once: a larger --max-concurrent, fewer --cpus-per-trial"
        )
    return Finding(
        check="gpus",
        verdict="warn" if idle else "pass",
        evidence=evidence,
        rule=f"trials have the GPUs of the cluster for {BUSY:.0%} of the time",
        advice=(advice,) if idle else (),
        numbers=(("gpus", there), ("used", round(used, 4))),
    )


def _lost(study: StoredStudy, usage: Usage) -> Finding:
    ran = sum(isinstance(event, Result) for event in study.events)
    epochs = sum(trial.epochs_lost for trial in study.state.trials.values())
    of_time = usage.lost / usage.at_work if usage.at_work else 0.0
    share = max(of_time, epochs / ran if ran else 0.0)
    return Finding(
        check="retries",
        verdict="warn" if share > LOST else "pass",
        evidence=(
            f"{usage.restarts} restarts of trials; {epochs} of {ran} epochs were trained again, "
            f"and {duration(usage.lost)} of {duration(usage.at_work)} were lost ({of_time:.0%})"
        ),
        rule=f"at most {LOST:.0%} of the time and of the epochs are lost to restarts",
        advice=(
            (Advice(text="let the trainable save its state, or free memory of the machines"),)
            if share > LOST
            else ()
        ),
        numbers=(("share", round(share, 4)), ("restarts", usage.restarts)),
    )
