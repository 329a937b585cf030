"""Population based training as a scheduler: its draws, its exploits, its refusals.

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
from ray.tune.schedulers.pbt import _explore

from search_spaces.schedulers.pbt import PBT
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.searchers.tpe_search import TPESearch
from search_spaces.space import Space
from search_spaces.trial_events import NotExploited
from tests.search_spaces.conftest import EVERYTHING, parameter, study_of

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
    """The parts of Tune's trial, and of Tune's controller, that the scheduler uses."""

    placement_group_factory = "one CPU"

    def __init__(self, index, config):
        self.custom_dirname, self.config = f"{index:04d}", config
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


def population(size=4, interval=2, seed=0, mode="max", begun=None, **options):
    """A scheduler whose members have begun, all or some; `exploits` has those carried out."""
    scheduler = PBT(
        TRAINED, perturbed=NAMES, max_epochs=27, interval=interval, seed=seed, members=size
    )
    study_of(RandomSearch(TRAINED, seed=0), scheduler, mode=mode, trials=size).check()
    members = [
        Member(index, {**TRAINED.point([(index + 0.5) / size] * 3), "seed": index})
        for index in range(begun or size)
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


def go_on(scheduler, members, answer=lambda exploit: exploit):
    """Let Tune ask until all members run again; return the exploits."""
    exploits = []
    while (exploit := scheduler.next_exploit()) is not None:
        exploits.append(answer(exploit))
        scheduler.on_event(exploits[-1], replay=False)
    while (chosen := scheduler.choose_trial_to_run(Member)) is not None:
        chosen.status = Trial.RUNNING
    assert all(member.status == Trial.RUNNING for member in members if not member.is_finished())
    return exploits


def test_members_continue_before_the_interval_and_wait_at_it():
    scheduler, members = population()
    assert report(scheduler, members, 1, {0: 0.1}) == [TrialScheduler.CONTINUE]
    assert report(scheduler, members, 2, {0: 0.1}) == [TrialScheduler.NOOP]
    # No other member needs its process.
    assert members[0].status == Trial.RUNNING
    assert scheduler.next_exploit() is None
    assert scheduler.choose_trial_to_run(Member) is None


@pytest.mark.parametrize(("mode", "worst", "best"), [("max", 1, 2), ("min", 2, 1)])
def test_the_worst_member_takes_over_from_the_best_and_an_event_records_it(mode, worst, best):
    scheduler, members = population(mode=mode)
    before = [dict(member.config) for member in members]
    scores = {3: 0.5, 1: 0.1, 0: 0.4, 2: 0.9}
    report(scheduler, members, 2, scores)
    (exploit,) = go_on(scheduler, members)
    assert (exploit.trial, exploit.donor, exploit.epoch) == (worst, best, 2)
    assert (exploit.value, exploit.donor_value) == (scores[worst], scores[best])
    assert exploit.changes["seed"] == [worst, best]
    after = [dict(member.config) for member in members]
    changed = {name: new for name, (_, new) in exploit.changes.items()}
    assert after[worst] == {**before[worst], **changed}
    assert after == [*before[:worst], after[worst], *before[worst + 1 :]]
    # The next time all have to wait again.
    assert report(scheduler, members, 3, {0: 0.1}) == [TrialScheduler.CONTINUE]
    assert report(scheduler, members, 4, {0: 0.1}) == [TrialScheduler.NOOP]


def test_no_two_members_continue_with_the_same_configuration():
    for seed in range(50):
        # Twelve members, three of which take over; the donors are at the end of the range.
        scheduler, members = population(size=12, seed=seed)
        for member in members:
            member.config = {**TRAINED.point([1 - 2**-53] * 3), "seed": 0}
        report(scheduler, members, 2, {index: index for index in range(12)})
        exploits = go_on(scheduler, members)
        donors = {exploit.trial: exploit.donor for exploit in exploits}
        assert sorted(donors) == [0, 1, 2]
        after = [(donor, str(members[index].config)) for index, donor in donors.items()]
        after += [(donor, str(members[donor].config)) for donor in set(donors.values())]
        assert len(after) == len(set(after))


def test_a_refused_exploit_changes_no_configuration():
    def refuse(exploit):
        return NotExploited(
            trial=exploit.trial, epoch=exploit.epoch, donor=exploit.donor, reason="gone"
        )

    scheduler, members = population(size=8)
    before = [dict(member.config) for member in members]
    report(scheduler, members, 2, {index: index for index in range(8)})
    assert len(go_on(scheduler, members, refuse)) == 2
    assert [member.config for member in members] == before


def test_an_ended_member_is_neither_waited_for_nor_a_donor():
    scheduler, members = population()
    report(scheduler, members, 2, {0: 0.1, 2: 0.9, 3: 0.4})
    members[1].status = members[2].status = Trial.TERMINATED
    exploits = go_on(scheduler, members)
    assert [(exploit.trial, exploit.donor) for exploit in exploits] == [(0, 3)]


def test_a_member_with_a_lost_process_waits_again_after_its_restart():
    scheduler, members = population()
    report(scheduler, members, 2, {0: 0.1, 1: 0.2, 2: 0.3})
    members[0].status = Trial.PENDING
    scheduler.on_trial_add(Member, members[0])
    report(scheduler, members, 2, {3: 0.4})
    assert scheduler.next_exploit() is None
    assert scheduler.choose_trial_to_run(Member) is members[0]
    members[0].status = Trial.RUNNING
    report(scheduler, members, 2, {0: 0.1})
    assert len(go_on(scheduler, members)) == 1


def test_a_waiting_member_releases_its_process_while_members_are_still_to_start():
    scheduler, members = population(size=4, begun=3)
    assert scheduler.on_trial_result(Member, members[0], {"epoch": 2, "score": 0.1}) == "NOOP"
    assert members[0].status == Trial.PAUSED
    assert scheduler.choose_trial_to_run(Member) is None, "it waits"


def test_a_seed_gives_one_population_whatever_the_order_of_reports():
    def trained(seed, order):
        scheduler, members = population(size=8, seed=seed)
        exploits = []
        for epoch in (2, 4, 6):
            scores = {index: (index * 7 + epoch) % 8 for index in range(8)}
            report(scheduler, members, epoch, dict(order(scores.items())))
            exploits += go_on(scheduler, members)
        return exploits

    state = random.getstate()
    first = trained(5, list)
    assert len(first) == 6
    assert trained(5, reversed) == first
    assert trained(6, list) != first
    assert random.getstate() == state


def test_a_configuration_is_perturbed_as_by_ray_tune():
    """With the same draws a study of an earlier version can be repeated."""
    mutations = {
        name: list(parameter.values) or (lambda parameter=parameter: parameter.at(random.random()))
        for name, parameter in zip(NAMES, TRAINED.parameters, strict=True)
    }
    scheduler, _ = population(seed=3)
    random.seed(3)
    config = {**TRAINED.point([0.5] * 3), "seed": 1}
    for _ in range(50):
        theirs, _ = _explore(config, mutations, 0.25, (1.2, 0.8), None)
        theirs["rate"] = min(max(theirs["rate"], 1e-3), 0.1)
        theirs["steps"] = int(min(max(theirs["steps"], 1), 4))
        assert scheduler._explored(config) == theirs
        config = theirs


def test_the_schedule_of_the_best_weights_follows_their_lineage():
    scheduler, members = population(interval=2)
    report(scheduler, members, 2, {0: 0.1, 1: 0.2, 2: 0.3, 3: 0.4})
    (exploit,) = go_on(scheduler, members)
    rates = {epoch: {"rate": 0.1 * epoch, "steps": 2, "batch": 64} for epoch in (1, 3)}
    configs = {index: SimpleNamespace(config_at=rates.__getitem__) for index in range(4)}
    best = {"trial": exploit.trial, "epoch": 4, "config": {"rate": 0.3}, "score": 0.9}
    closing = scheduler.finish(configs, best, "score")
    assert closing.file == "schedule.json"
    assert closing.content["lineage"] == [(1, exploit.donor), (3, exploit.trial)]
    assert closing.content["schedule"]["rate"] == [(1, 0.1), (3, pytest.approx(0.3))]
    assert closing.content["config"]["steps_schedule"] == [(1, 2)]
    assert ("schedule", "rate 0.1 from epoch 1, 0.3 from epoch 3") in closing.lines


@given(st.integers(0, 2**31), st.lists(st.permutations(range(4)), min_size=12, max_size=12))
def test_no_value_leaves_its_range(seed, rankings):
    scheduler, members = population(seed=seed, interval=1)
    exploits = []
    for epoch, ranking in enumerate(rankings, start=1):
        report(scheduler, members, epoch, dict(enumerate(ranking)))
        exploits += go_on(scheduler, members)
    assert len(exploits) == 12
    for member in members:
        assert set(member.config) == {"model", *NAMES, "seed"}
        TRAINED.unit(member.config)
        assert isinstance(member.config["steps"], int)


def test_a_value_of_a_range_with_a_step_stays_a_multiple_of_it():
    stepped = parameter("rate", default=1.5, low=0.0, high=1000.0, step=0.5)
    whole = parameter("width", default=16, low=0, high=80_000, step=8, integer=True)
    scheduler = PBT(
        Space("s", (stepped, whole)),
        perturbed=["rate", "width"],
        max_epochs=9,
        interval=2,
        seed=0,
    )
    config = {"rate": 1.5, "width": 16}
    for _ in range(50):
        config = scheduler._explored(config)
        assert config["rate"] % 0.5 == 0
        assert config["width"] % 8 == 0
        assert isinstance(config["width"], int)


def test_a_scheduler_that_has_had_a_study_begins_the_next_one_anew():
    scheduler, members = population(size=4)
    report(scheduler, members, 2, dict(enumerate(range(4))))
    first = go_on(scheduler, members)
    study_of(RandomSearch(TRAINED, seed=0), scheduler, trials=4).check()
    _, members = population(size=4)
    for member in members:
        scheduler.on_trial_add(member, member)
    report(scheduler, members, 2, dict(enumerate(range(4))))
    assert go_on(scheduler, members) == first


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
def test_a_hyperparameter_that_cannot_change_during_training_is_refused(name):
    network = replace(parameter("layer", default=1, low=1, high=3), kind="network")
    space = Space("s", (*EVERYTHING.parameters, network), EVERYTHING.fixed)
    with pytest.raises(ValueError, match=f"{name} cannot be perturbed"):
        PBT(space, perturbed=["rate", name], max_epochs=9, interval=2, seed=0)


@pytest.mark.parametrize("interval", [0, 9, 10])
def test_an_interval_that_never_comes_is_refused(interval):
    with pytest.raises(ValueError, match=f"below the 9 epochs of a trial, got {interval}"):
        PBT(TRAINED, perturbed=["rate"], max_epochs=9, interval=interval, seed=0)


@pytest.mark.parametrize(
    ("searcher", "trials", "continues", "said"),
    [
        (RandomSearch, 5, True, r"--trials 5: the population has 4 members"),
        (TPESearch, 4, True, "TPESearch learns from values"),
        (RandomSearch, 4, False, "does not resume"),
    ],
)
def test_an_unfit_study_is_refused_as_a_population(searcher, trials, continues, said):
    scheduler = PBT(TRAINED, perturbed=["rate"], max_epochs=9, interval=2, seed=0, members=4)
    spec = study_of(searcher(TRAINED, seed=0), scheduler, trials=trials, continues=continues)
    with pytest.raises(ValueError, match=said):
        spec.check()


def test_one_member_is_no_population():
    with pytest.raises(ValueError, match="--trials 1: a population has at least 2 members"):
        PBT(TRAINED, perturbed=["rate"], max_epochs=9, interval=2, seed=0, members=1)
