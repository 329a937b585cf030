"""The stream of events: events are written, then applied to the state, then passed to listeners."""

import errno

import pytest

from search_spaces.trial_events import Suggested
from tests.journals import event_of, read_events, state_of
from tune_cluster.callbacks.base import Callback
from tune_cluster.storage.retry import StorageLostError
from tune_cluster.study.events import Closed, Session
from tune_cluster.study.journal import EventStream, Journal

EVENTS = [Suggested(trial=0, config={}), event_of("started"), event_of("ended", status="failed")]


class Witness(Callback):
    """Stores for each event the state of the journal and of the study at that time."""

    def __init__(self, path, error=None):
        self.path, self.error, self.seen = path, error, []

    def on_event(self, event, state, replay):
        written = len(read_events(self.path)) if self.path.exists() else 0
        status = state.trials[0].status if state.trials else None
        self.seen.append((event.name, replay, written, status))
        if self.error is not None:
            raise self.error


@pytest.fixture
def journal(tmp_path):
    journal = Journal(tmp_path / "journal.jsonl")
    yield journal
    journal.close()


def test_events_are_written_together_and_told_one_after_the_other(journal):
    witness = Witness(journal.path)
    stream = EventStream(journal, state_of(), [witness])
    stream.emit(*EVENTS)
    assert witness.seen == [
        ("suggested", False, 3, "pending"),
        ("started", False, 3, "running"),
        ("ended", False, 3, "failed"),
    ]


def test_events_of_an_earlier_session_are_replayed_to_callbacks_and_not_written_again(journal):
    witness = Witness(journal.path)
    session = Session(command=[], resumed=True, notices=[])
    EventStream(journal, state_of(EVENTS), [witness]).begin(EVENTS[:2], session, EVENTS[2:])
    assert [(name, replay) for name, replay, *_ in witness.seen] == [
        ("suggested", True),
        ("started", True),
        ("session", False),
        # What the session has decided of earlier ones, as in the journal.
        ("ended", True),
    ]
    assert read_events(journal.path) == []


def test_a_listener_that_has_lost_its_storage_keeps_nothing_from_the_others(journal):
    lost = StorageLostError(errno.EIO, "input/output error", "disk")
    first, last = Witness(journal.path, lost), Witness(journal.path)
    EventStream(journal, state_of(), [first, last]).emit(*EVENTS)
    assert len(last.seen) == len(first.seen) == 3


def test_an_event_emitted_by_a_callback_reaches_all_after_the_one_that_caused_it(journal):
    class Answering(Callback):
        def on_event(self, event, state, replay):
            if event.name == "suggested":
                stream.emit(event_of("started", event.trial))

    witness = Witness(journal.path)
    stream = EventStream(journal, state_of(), [Answering(), witness])
    stream.emit(EVENTS[0])
    assert [name for name, *_ in witness.seen] == ["suggested", "started"]
    assert [event["event"] for event in read_events(journal.path)] == ["suggested", "started"]


def test_the_last_event_is_told_before_the_journal_ends(journal):
    witness = Witness(journal.path)
    EventStream(journal, state_of(), [witness]).close("all trials")
    assert witness.seen == [("closed", False, 0, None)]
    (event,) = read_events(journal.path)
    assert (event["event"], event["why"]) == (Closed.name, "all trials")
