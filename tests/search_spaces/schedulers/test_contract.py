"""Contract suite that every scheduler runs."""

import json
from types import SimpleNamespace

import pytest
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from search_spaces.schedulers.asha import ASHA
from search_spaces.schedulers.base import StudyScheduler, index_of
from search_spaces.schedulers.pbt import PBT
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.space import Space
from search_spaces.trial_events import (
    Decision,
    Earlier,
    Ended,
    EpochsLost,
    Event,
    Promoted,
    Result,
    Suggested,
)
from tests.search_spaces.conftest import parameter, study_of

SPACE = Space("rate", (parameter("rate", default=0.1, low=0.01, high=1.0),))


def in_order():
    return StudyScheduler()


def asha():
    return ASHA(max_epochs=9, grace_period=1)


def asha_that_decides():
    return ASHA(max_epochs=9)


def pbt():
    return PBT(SPACE, perturbed=["rate"], max_epochs=9, interval=3, seed=0, members=4)


SCHEDULERS = [in_order, asha, asha_that_decides, pbt]

every = pytest.mark.parametrize("kind", SCHEDULERS)


def made(kind, mode="max", **options):
    scheduler = kind()
    study_of(RandomSearch(SPACE, seed=0), scheduler, mode=mode, trials=4, **options).check()
    return scheduler


def trial(index):
    """The part of Tune's trial that a scheduler uses."""
    return SimpleNamespace(
        custom_dirname=f"{index:04d}",
        config={"rate": 0.1},
        status=Trial.RUNNING,
        placement_group_factory="one CPU",
        is_finished=lambda: False,
        set_config=lambda config: None,
    )


class Controller:
    """Tune's, as far as a scheduler calls it."""

    @staticmethod
    def pause_trial(trial, should_checkpoint):
        trial.status = Trial.PAUSED


def lived(scheduler, epochs=9, trials=4):
    """Run a study with the calls of Tune and the engine; return its course and the epochs."""
    members = [trial(index) for index in range(trials)]
    events, epoch_of = [], {}
    for index, member in enumerate(members):
        scheduler.on_event(Suggested(trial=index, config=member.config), replay=False)
        scheduler.on_trial_add(Controller, member)
    going_on = list(range(trials))
    for epoch in range(1, epochs + 1):
        for index in list(going_on):
            metrics = {"epoch": epoch, "score": float(index)}
            answer = scheduler.on_trial_result(Controller, members[index], metrics)
            decided = scheduler.take_events()
            told = [Result(trial=index, epoch=epoch, metrics={"score": float(index)}), *decided]
            if answer == TrialScheduler.STOP:
                going_on.remove(index)
                assert Ended(trial=index, epoch=epoch, status="stopped", rung=epoch) in told
            for event in told:
                scheduler.on_event(event, replay=False)
            events += told
            epoch_of[index] = epoch
        while (exploit := scheduler.next_exploit()) is not None:
            scheduler.on_event(exploit, replay=False)
        while (named := scheduler.choose_trial_to_run(Controller)) is not None:
            named.status = Trial.RUNNING
    return events, epoch_of


@every
@pytest.mark.parametrize("mode", ["max", "min"])
def test_a_study_ends_and_no_trial_is_left_waiting(kind, mode):
    scheduler = made(kind, mode)
    _, epoch_of = lived(scheduler)
    assert set(epoch_of) == {0, 1, 2, 3}
    assert scheduler.take_events() == [], "each decision is given once"
    assert scheduler.next_exploit() is None


@every
def test_the_events_of_a_scheduler_survive_json(kind):
    for event in lived(made(kind))[0]:
        assert type(event).from_json(json.loads(json.dumps(event.to_json()))) == event


@every
def test_a_scheduler_accepts_events_that_do_not_concern_it(kind):
    scheduler = made(kind)
    for replay in (True, False):
        for event in (
            Event(),
            Earlier(study="s", config={}, values={}, status="failed"),
            Suggested(trial=0, config={}),
            EpochsLost(trial=0, first=1, last=2),
            Ended(trial=0, epoch=1, status="failed", blameless=True),
        ):
            scheduler.on_event(event, replay=replay)
    assert scheduler.take_events() == []


@every
def test_a_scheduler_describes_itself_in_json(kind):
    described = made(kind).describe()
    assert json.loads(json.dumps(described)) == described
    assert bool(described) == (kind is not in_order)


@every
def test_a_scheduler_estimates_the_cost_of_a_study(kind):
    scheduler = made(kind)
    found = scheduler.expected(trials=8, concurrent=2, max_epochs=9)
    assert list(found.reaching) == ([*scheduler.rungs, 9] if scheduler.rungs else [])
    assert 0 < found.makespan <= found.epochs <= 72
    assert all(isinstance(note, str) for note in scheduler.notes(8))


@every
def test_a_scheduler_that_is_not_resumable_gives_the_reason(kind):
    scheduler = made(kind)
    assert bool(scheduler.not_resumable) == (kind is pbt)


@every
def test_a_scheduler_without_events_promotes_and_exploits_no_trial(kind):
    scheduler = made(kind)
    assert scheduler.next_promotion() is None
    assert scheduler.next_exploit() is None
    assert scheduler.may_continue(8) == ([], [])
    assert scheduler.choose_trial_to_run(Controller) is None


@pytest.mark.parametrize("kind", [in_order, asha, asha_that_decides])
def test_a_new_scheduler_that_replays_the_events_equals_the_old_one(kind):
    whole = made(kind)
    events, _ = lived(whole)
    resumed = made(kind)
    for event in events:
        resumed.on_event(event, replay=True)
    assert resumed.take_events() == []
    assert resumed.next_promotion() == whole.next_promotion()
    assert resumed.may_continue(4) == whole.may_continue(4)
    again = [
        s.on_trial_result(Controller, trial(7), {"epoch": 1, "score": 0.5})
        for s in (resumed, whole)
    ]
    assert again[0] == again[1]
    assert resumed.take_events() == whole.take_events()


def test_a_trial_is_named_by_its_directory():
    assert index_of(SimpleNamespace(custom_dirname="0012")) == 12
    assert index_of(SimpleNamespace(custom_dirname="12345")) == 12345
    by_tune = [SimpleNamespace(custom_dirname=None, trial_id=name) for name in ("a_01", "a_02")]
    assert index_of(by_tune[0]) != index_of(by_tune[1])


def test_the_default_scheduler_runs_trials_to_their_end():
    scheduler = made(in_order)
    _, epoch_of = lived(scheduler)
    assert set(epoch_of.values()) == {9}
    assert (scheduler.max_epochs, scheduler.default_trials, scheduler.synchronous) == (
        None,
        None,
        False,
    )


def test_a_scheduler_without_rungs_ignores_decisions_and_promotions():
    scheduler = made(in_order)
    scheduler.on_event(
        Decision(trial=0, rung=1, value=1.0, cutoff=None, rank=1, of=1, stop=True), replay=True
    )
    scheduler.on_event(Promoted(trial=0, rung=1, value=1.0, rank=1, of=3), replay=True)
    assert scheduler.take_events() == []
