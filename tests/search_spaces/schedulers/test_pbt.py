"""Population based training as a scheduler: what it draws, whom it tells, what it refuses.

How Tune runs it, with processes and failures, is in `tests/execution/test_population.py`.
"""

import json
import random
from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from search_spaces.schedulers.pbt import PBT
from search_spaces.space import Space
from tests.search_spaces.conftest import EVERYTHING, parameter

TRAINED = Space(
    "trained",
    (
        parameter("rate", default=0.01, low=1e-3, high=0.1, scale="log"),
        parameter("steps", default=2, low=1, high=4, integer=True),
        parameter("batch", default=64, values=(32, 64, 128), ordered=True),
    ),
    fixed=(("model", "mlp"),),
)
NAMES = ("rate", "steps", "batch")


class Member:
    """What the scheduler sees of a trial of Tune, and of Tune's controller."""

    placement_group_factory = "one CPU"

    def __init__(self, index, config):
        self.index, self.config = index, config
        self.status, self.experiment_tag, self.num_to_keep = Trial.RUNNING, "", None
        self.temporary_state = SimpleNamespace(ray_actor=None)
        self.run_metadata = self.checkpoint_manager = self.checkpoint_config = self

    def is_finished(self):
        return self.status == Trial.TERMINATED

    def set_config(self, config):
        self.config = config

    @staticmethod
    def pause_trial(member, should_checkpoint):
        assert not should_checkpoint
        member.status = Trial.PAUSED


def population(size=4, interval=2, seed=0, mode="max", concurrent=4):
    """A scheduler whose members have all begun; what it tells is in `scheduler.told`."""
    scheduler = PBT(TRAINED, perturbed=NAMES, max_epochs=27, interval=interval, seed=seed)
    scheduler.population, scheduler.concurrent = size, lambda: concurrent
    scheduler.trial_key = lambda member: member.index
    scheduler.told = []
    scheduler.on_exploit = lambda exploit: scheduler.told.append(exploit) or True
    assert scheduler.set_search_properties("score", mode)
    members = [
        Member(index, {**TRAINED.point([(index + 0.5) / size] * 3), "seed": index})
        for index in range(size)
    ]
    for member in members:
        scheduler.on_trial_add(member, member)
    return scheduler, members


def report(scheduler, members, epoch, scores):
    """Each member's result, in the order of `scores`, which has them by index."""
    return [
        scheduler.on_trial_result(None, members[index], {"epoch": epoch, "score": score})
        for index, score in scores.items()
    ]


def go_on(scheduler, members):
    """Lets Tune ask until everyone runs again."""
    while (chosen := scheduler.choose_trial_to_run(Member)) is not None:
        chosen.status = Trial.RUNNING
    assert all(member.status == Trial.RUNNING for member in members if not member.is_finished())


def test_before_the_interval_everyone_goes_on_and_at_it_everyone_waits():
    scheduler, members = population()
    assert report(scheduler, members, 1, {0: 0.1}) == [TrialScheduler.CONTINUE]
    assert report(scheduler, members, 2, {0: 0.1}) == [TrialScheduler.NOOP]
    # Nobody needs its process.
    assert members[0].status == Trial.RUNNING
    assert scheduler.choose_trial_to_run(Member) is None
    assert scheduler.told == []


@pytest.mark.parametrize(("mode", "worst", "best"), [("max", 1, 2), ("min", 2, 1)])
def test_the_worst_takes_over_from_the_best_and_is_told(mode, worst, best):
    scheduler, members = population(mode=mode)
    before = [dict(member.config) for member in members]
    scores = {3: 0.5, 1: 0.1, 0: 0.4, 2: 0.9}
    report(scheduler, members, 2, scores)
    go_on(scheduler, members)
    (exploit,) = scheduler.told
    assert (exploit.trial, exploit.donor, exploit.epoch) == (worst, best, 2)
    assert (exploit.value, exploit.donor_value) == (scores[worst], scores[best])
    assert exploit.changes["seed"] == (worst, best)
    after = [dict(member.config) for member in members]
    changed = {name: new for name, (_, new) in exploit.changes.items()}
    assert after[worst] == {**before[worst], **changed}
    assert after == [*before[:worst], after[worst], *before[worst + 1 :]]
    # The next time all have to wait again.
    assert report(scheduler, members, 3, {0: 0.1}) == [TrialScheduler.CONTINUE]
    assert report(scheduler, members, 4, {0: 0.1}) == [TrialScheduler.NOOP]


def test_no_two_members_go_on_as_one():
    for seed in range(50):
        # Twelve members, three of which take over; the donors stand at the end of the range.
        scheduler, members = population(size=12, seed=seed)
        for member in members:
            member.config = {**TRAINED.point([1 - 2**-53] * 3), "seed": 0}
        report(scheduler, members, 2, {index: index for index in range(12)})
        go_on(scheduler, members)
        donors = {exploit.trial: exploit.donor for exploit in scheduler.told}
        assert sorted(donors) == [0, 1, 2]
        after = [(donor, str(members[index].config)) for index, donor in donors.items()]
        after += [(donor, str(members[donor].config)) for donor in set(donors.values())]
        assert len(after) == len(set(after))


def test_where_the_weights_cannot_be_had_nothing_changes():
    scheduler, members = population()
    scheduler.on_exploit = lambda exploit: False
    before = [dict(member.config) for member in members]
    report(scheduler, members, 2, {0: 0.1, 1: 0.2, 2: 0.3, 3: 0.4})
    go_on(scheduler, members)
    assert [member.config for member in members] == before


def test_who_has_ended_is_neither_waited_for_nor_a_donor():
    scheduler, members = population()
    report(scheduler, members, 2, {0: 0.1, 2: 0.9, 3: 0.4})
    members[1].status = members[2].status = Trial.TERMINATED
    go_on(scheduler, members)
    assert [(exploit.trial, exploit.donor) for exploit in scheduler.told] == [(0, 3)]


def test_a_lost_process_waits_again_when_it_is_back():
    scheduler, members = population()
    report(scheduler, members, 2, {0: 0.1, 1: 0.2, 2: 0.3})
    members[0].status = Trial.PENDING
    scheduler.on_trial_add(Member, members[0])
    report(scheduler, members, 2, {3: 0.4})
    assert scheduler.choose_trial_to_run(Member) is members[0]
    assert scheduler.told == []
    members[0].status = Trial.RUNNING
    report(scheduler, members, 2, {0: 0.1})
    go_on(scheduler, members)
    assert len(scheduler.told) == 1


def test_the_searcher_waits_for_a_place_and_then_for_the_end():
    scheduler, members = population(size=3, concurrent=3)
    scheduler.population = 4
    assert scheduler.suggest_later()
    # The place of who waits is for the one that is still to come.
    assert scheduler.on_trial_result(Member, members[0], {"epoch": 2, "score": 0.1}) == "NOOP"
    assert members[0].status == Trial.PAUSED
    assert not scheduler.suggest_later()
    scheduler.on_trial_add(Member, Member(3, members[0].config))
    for member in scheduler._trial_state:
        assert scheduler.suggest_later()
        member.status = Trial.TERMINATED
    assert not scheduler.suggest_later()


def test_a_seed_gives_one_population_and_leaves_pythons_generator_alone():
    told = []
    for outside in (1, 2):
        random.seed(outside)
        state = random.getstate()
        scheduler, members = population(size=8, seed=5)
        for epoch in (2, 4, 6):
            scores = {index: (index * 7 + epoch) % 8 for index in range(8)}
            order = scores if outside == 1 else dict(reversed(scores.items()))
            report(scheduler, members, epoch, order)
            go_on(scheduler, members)
        assert random.getstate() == state
        told.append(scheduler.told)
    assert len(told[0]) == 6
    assert told[0] == told[1]
    scheduler, members = population(size=8, seed=6)
    report(scheduler, members, 2, {index: (index * 7 + 2) % 8 for index in range(8)})
    go_on(scheduler, members)
    assert scheduler.told != told[0][:2]


@given(st.integers(0, 2**31), st.lists(st.permutations(range(4)), min_size=12, max_size=12))
def test_no_value_leaves_its_range(seed, rankings):
    scheduler, members = population(seed=seed, interval=1)
    for epoch, ranking in enumerate(rankings, start=1):
        report(scheduler, members, epoch, dict(enumerate(ranking)))
        go_on(scheduler, members)
    assert len(scheduler.told) == 12
    for member in members:
        assert set(member.config) == {"model", *NAMES, "seed"}
        TRAINED.unit(member.config)
        assert isinstance(member.config["steps"], int)


def test_the_strategy_is_plain_json():
    scheduler, _ = population()
    described = json.loads(json.dumps(scheduler.describe()))
    assert [perturbed["name"] for perturbed in described.pop("perturbed")] == list(NAMES)
    assert described == {
        "scheduler": "pbt",
        "perturbation_interval": 2,
        "perturbation_factors": [1.2, 0.8],
        "quantile_fraction": 0.25,
        "resample_probability": 0.25,
        "seed": 0,
    }


@pytest.mark.parametrize("name", ["layer", "optimizer", "sizes", "momentum", "model", "dropout"])
def test_what_cannot_change_while_a_network_is_trained_is_refused(name):
    network = replace(parameter("layer", default=1, low=1, high=3), kind="network")
    space = Space("s", (*EVERYTHING.parameters, network), EVERYTHING.fixed)
    with pytest.raises(ValueError, match=f"{name} cannot be perturbed"):
        PBT(space, perturbed=["rate", name], max_epochs=9, interval=2, seed=0)


@pytest.mark.parametrize("interval", [0, 9, 10])
def test_an_interval_that_never_comes_is_refused(interval):
    with pytest.raises(ValueError, match=f"below the 9 epochs of a trial, got {interval}"):
        PBT(TRAINED, perturbed=["rate"], max_epochs=9, interval=interval, seed=0)
