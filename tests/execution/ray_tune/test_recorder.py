"""Exploits of a population's member: the journal if the donor's weights are not available."""

from pathlib import Path

import pytest

from search_spaces.schedulers.base import StudyScheduler
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.space import Space
from search_spaces.trial_events import Exploited
from tests.journals import event_of, read_events, state_of
from tune_cluster.callbacks.stopping import Limits, StudyStopper
from tune_cluster.execution.ray_tune.recorder import Recorder
from tune_cluster.execution.ray_tune.stop_conditions import StopConditions
from tune_cluster.storage.checkpoints import TrialCheckpoints
from tune_cluster.storage.quota import Quota
from tune_cluster.storage.retry import RetryPolicy, StorageRetry
from tune_cluster.storage.store import LocalStore
from tune_cluster.study.journal import EventStream, Journal

SIZE = 1000
EXPLOIT = Exploited(trial=0, epoch=2, donor=1, value=0.1, donor_value=0.9, changes={})


class Pair:
    """Two trials, each with a checkpoint of epoch 2, on storage that recovers once it is
    reported."""

    def __init__(self, folder):
        self.store = LocalStore(folder / "trials")
        self.store.path.mkdir()
        self.lines, self.quota = [], Quota(10**6, running=2, per_trial=10**5)
        for index, value in enumerate((0.1, 0.9)):
            self.checkpoints(index).write(2, value, {}, save)
        self.journal = Journal(folder / "journal.jsonl")
        self.suggested = [event_of("suggested", index) for index in (0, 1)]
        self.journal.append(*self.suggested)

    def checkpoints(self, index):
        return TrialCheckpoints(self.store / f"{index:04d}", "max")

    def take_away(self):
        self.store.path.rename(self.store.path.with_name("elsewhere"))

    def back(self, line):
        self.lines.append(line)
        if not self.store.path.exists():
            self.store.path.with_name("elsewhere").rename(self.store.path)

    def exploit(self):
        """Return the event with the outcome."""
        state = state_of(self.suggested)
        recorder = Recorder(
            EventStream(self.journal, state).emit,
            state,
            self.store,
            scheduler=StudyScheduler(),
            searcher=RandomSearch(Space("empty", []), seed=0),
            conditions=StopConditions(None, StudyStopper(Limits(), state), state),
            sequential=False,
            retry=StorageRetry(self.store, self.back, policy=RetryPolicy(0.01, 0.01, 5)),
            quota=self.quota,
        )
        recorder.on_exploit(EXPLOIT)
        *_, event = read_events(self.journal.path)
        return event


def save(folder):
    Path(folder, "state").write_bytes(bytes(SIZE))


@pytest.fixture
def pair(tmp_path):
    pair = Pair(tmp_path)
    yield pair
    pair.journal.close()


def test_an_exploit_waits_for_unreachable_storage(pair):
    donors = pair.checkpoints(1).of_epoch(2)
    pair.take_away()
    assert pair.exploit()["event"] == "exploited"
    assert pair.checkpoints(0).names()[0] == f"{donors.name}_from_0001"


def test_damaged_weights_of_a_donor_are_not_taken_over_and_the_reason_is_recorded(pair):
    (pair.store.path / "0001" / "checkpoint_000002" / "state").write_bytes(b"")
    event = pair.exploit()
    assert (event["event"], event["trial"], event["donor"]) == ("not_exploited", 0, 1)
    assert "has 0 bytes instead of 1000" in event["reason"]
    assert pair.checkpoints(0).names() == ["checkpoint_000002"]


def test_missing_weights_of_a_donor_are_recorded_with_the_reason(pair):
    (pair.store.path / "0001" / "checkpoint_000002" / "result.json").unlink()
    event = pair.exploit()
    assert event["event"] == "not_exploited"
    assert event["reason"] == "its checkpoint of epoch 2 cannot be read"


def test_weights_above_the_quota_are_not_taken_over(pair):
    pair.quota.per_trial = int(1.5 * SIZE)
    event = pair.exploit()
    assert event["event"] == "not_exploited"
    assert "1500 allowed" in event["reason"]
    assert pair.checkpoints(0).names() == ["checkpoint_000002"]
