"""The order of a journal's events: what is lost, repeated or exchanged in it is not gone on from.

Each event is held against those before it. What a driver can write passes, whenever it was killed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tune_cluster.study.events import Epoch, Event


@dataclass
class _Trial:
    epochs: set[Epoch] = field(default_factory=set)
    last: Epoch = 0
    furthest: float = 0
    """Epoch that it has ever reported: a decision stands, whatever is lost after it."""
    stopped: bool = False
    rung: int | None = None
    ended: bool = False
    control_epoch: Epoch = 0
    control_ended: bool = False


class Order:
    """What the events so far say."""

    def __init__(self) -> None:
        self._trials: list[_Trial] = []

    def take(self, event: Event) -> None:
        """Take in the next event, which `events.check_event` has passed.

        Raises:
            ValueError: it cannot come after those so far; it is not taken in.
        """
        kind = event["event"]
        if kind == "suggested":
            if event["trial"] != len(self._trials):
                raise ValueError(
                    f"trial {event['trial']} is suggested where trial {len(self._trials)} is next"
                )
            self._trials.append(_Trial())
        elif "trial" in event:
            trial = self._trial(event["trial"])
            if "donor" in event:
                self._trial(event["donor"])
            try:
                _take(trial, event)
            except ValueError as error:
                raise ValueError(f"{kind} of trial {event['trial']}: {error}") from None

    def _trial(self, index: int) -> _Trial:
        if index >= len(self._trials):
            raise ValueError(f"trial {index} has not been suggested before")
        return self._trials[index]


def _take(trial: _Trial, event: Event) -> None:
    kind = event["event"]
    if kind in ("started", "result", "ended") and trial.ended:
        raise ValueError("the trial has ended before")
    if kind == "result":
        if event["epoch"] <= trial.last:
            raise ValueError(f"epoch {event['epoch']} comes after epoch {trial.last}")
        trial.last = event["epoch"]
        trial.furthest = max(trial.furthest, trial.last)
        trial.epochs.add(trial.last)
    elif kind == "epochs_lost":
        trial.epochs = {epoch for epoch in trial.epochs if epoch < event["first"]}
        trial.last = max(trial.epochs, default=0)
    elif kind == "decision":
        if event["rung"] > trial.furthest:
            raise ValueError(f"no result of its rung, epoch {event['rung']}, is there")
    elif kind == "ended":
        stopped = event["status"] == "stopped"
        if (stopped or event["status"] == "finished") and event["epoch"] not in trial.epochs:
            raise ValueError(f"no result of its last epoch, {event['epoch']}, is there")
        trial.ended, trial.stopped, trial.rung = True, stopped, event.get("rung")
    elif kind == "promoted":
        if not trial.stopped or trial.rung not in (None, event["rung"]):
            raise ValueError(f"it was not stopped at rung {event['rung']} before")
        trial.ended = trial.stopped = False
    elif kind == "control_started":
        trial.control_ended = False
    elif kind in ("control", "control_ended"):
        if trial.control_ended:
            raise ValueError("the control has ended before")
        if kind == "control_ended":
            trial.control_ended = True
        elif event["epoch"] <= trial.control_epoch:
            raise ValueError(f"epoch {event['epoch']} comes after epoch {trial.control_epoch}")
        else:
            trial.control_epoch = event["epoch"]
