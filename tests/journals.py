"""Journals and states of studies that tests make up, or read as JSON."""

from search_spaces.objective import Objective
from search_spaces.trial_events import Ended, Event, Result, Suggested, TrialEvent
from tune_cluster.study.events import read_event
from tune_cluster.study.journal import read_journal
from tune_cluster.study.state import StudyState

SCORE = Objective("score", "max")


MADE_UP = {
    "suggested": {"config": {}},
    "decision": {"rung": 1, "value": 0.5, "cutoff": None, "rank": 1, "of": 1, "stop": True},
    "promoted": {"rung": 1, "value": 0.5, "rank": 1, "of": 1},
    "exploited": {"epoch": 1, "donor": 0, "value": 0.1, "donor_value": 0.2, "changes": {}},
    "epochs_lost": {"first": 1, "last": 1},
    "ended": {"epoch": 1},
    "control_ended": {"epoch": 1, "status": "finished"},
    "closed": {"why": "all trials"},
}
"""Default fields of an event that a test does not give."""


def typed(event):
    """Return the event of a dictionary as in a journal, completed by defaults."""
    if isinstance(event, Event):
        return event
    return read_event({**MADE_UP.get(event["event"], {}), **event})


def event_of(kind, trial=0, **fields):
    """Return an event of a trial, completed by defaults."""
    return typed({"event": kind, "trial": trial, **fields})


def read_events(path):
    """The events of a journal as dictionaries."""
    events, _ = read_journal(path, SCORE)
    return [event.to_json() for event in events]


def state_of(events=(), objective=SCORE):
    """Return the state after a study's events, given as objects or as in a journal."""
    return StudyState(objective, map(typed, events))


def trials_from(events, metric="score", mode="max"):
    """Return the trials of some events, by index."""
    return state_of(events, Objective(metric, mode)).trials


def trials_in(path, metric="score", mode="max"):
    """The trials of a journal, by index."""
    return read_journal(path, Objective(metric, mode))[1].trials


class Happens:
    """A study described in few words: events that must come before are added.

    Args:
        listeners: called with every event after the state is updated.
    """

    def __init__(self, *listeners, objective=SCORE, config=None):
        self.state = StudyState(objective)
        self.listeners = list(listeners)
        self.config = config or {}

    @property
    def trials(self):
        return self.state.trials

    def suggest(self, index, config=None):
        while len(self.trials) <= index:
            mine = config if len(self.trials) == index and config is not None else self.config
            self._tell(Suggested(trial=len(self.trials), config=dict(mine)))

    def tell(self, event):
        event = typed(event)
        if isinstance(event, TrialEvent) and not isinstance(event, Suggested):
            self.suggest(event.trial)
            if isinstance(event, Ended) and not event.failed:
                self._report(event)
        self._tell(event)

    def _report(self, event):
        if event.epoch not in self.trials[event.trial].results:
            self._tell(Result(trial=event.trial, epoch=event.epoch, metrics={}))

    def _tell(self, event):
        self.state.apply(event)
        for listener in self.listeners:
            listener.on_event(event, self.state, replay=False)


def trial_of(index=0, config=None, results=None, status="running", objective=SCORE, **end):
    """A trial with these metrics by epoch, and with this status."""
    study = Happens(objective=objective)
    study.suggest(index, config)
    if status != "pending":
        study.tell({"event": "started", "trial": index})
    for epoch, metrics in (results or {}).items():
        study.tell({"event": "result", "trial": index, "epoch": epoch, "metrics": metrics})
    trial = study.trials[index]
    if status not in ("pending", "running"):
        epoch = trial.epochs or 1
        study.tell({"event": "ended", "trial": index, "status": status, "epoch": epoch, **end})
    return trial
