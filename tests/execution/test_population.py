"""A population on a real Ray: who trained what, with failures meanwhile; and its schedule."""

import json
import math
import os
import signal
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
import ray
from ray import tune

from search_spaces.schedulers.pbt import PBT
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.searchers.tpe_search import TPESearch
from search_spaces.space import Space
from tests.in_process import QUALITY, study_in
from tests.journals import event_of, read_events, trial_of, trials_from, typed
from tune_cluster.study.journal import JOURNAL
from tune_cluster.trial.process import trial_seed

EPOCHS = 7
SPACE = Space("quality", (replace(QUALITY, kind="optimization"),))


def summing(act=lambda config, epoch, result: None):
    """A trainable whose weights are the sum of the qualities that it was trained with, so that the
    score shows whose weights it has. `act(config, epoch, result)` may raise, or change the result.
    """

    class Summing(tune.Trainable):
        takes_seed = True
        reuse_actors = True

        def setup(self, config):
            self.config, self.epoch, self.weights = config, 0, 0.0

        def reset_config(self, new_config):
            self.setup(new_config)
            return True

        def step(self):
            self.epoch += 1
            self.weights += self.config["quality"]
            result = {"score": self.weights, "epoch": self.epoch, "process": os.getpid()}
            act(self.config, self.epoch, result)
            return {**result, "done": self.epoch == EPOCHS}

        def save_checkpoint(self, checkpoint_dir):
            Path(checkpoint_dir, "w").write_text(json.dumps([self.epoch, self.weights]))

        def load_checkpoint(self, checkpoint_dir):
            self.epoch, self.weights = json.loads(Path(checkpoint_dir, "w").read_text())

    return Summing


@pytest.fixture
def run_population(run_study):
    """Runs a population; `(events, trials, study)`."""

    def run(trainable, *, trials=8, interval=2, seed=0, **options):
        pbt = PBT(
            SPACE,
            perturbed=["quality"],
            max_epochs=EPOCHS,
            interval=interval,
            seed=seed,
            members=trials,
        )
        code, found, study = run_study(
            trainable, trials=trials, max_epochs=EPOCHS, scheduler=pbt, **options
        )
        assert code == 0
        assert all(trial.ended for trial in found.values())
        return read_events(study.directory / JOURNAL), found, study

    return run


def assert_true(events, trials):
    """Check that every result follows from the journal: earlier weights, exploits, and quality."""
    weights = dict.fromkeys(trials, 0.0)
    at = dict.fromkeys(trials, 0)
    quality = {index: trial.config["quality"] for index, trial in trials.items()}
    for event in events:
        if event["event"] == "result":
            index = event["trial"]
            assert event["epoch"] == at[index] + 1, "no epoch twice, none left out"
            at[index] += 1
            weights[index] += quality[index]
            assert event["metrics"]["score"] == weights[index]
        elif event["event"] == "exploited":
            index, donor = event["trial"], event["donor"]
            assert at[index] == at[donor] == event["epoch"]
            assert (event["value"], event["donor_value"]) == (weights[index], weights[donor])
            # At the end of the range the new value may equal the old one.
            before, after = event["changes"].get("quality", [quality[index]] * 2)
            assert before == quality[index]
            assert 0 <= after <= 1
            weights[index], quality[index] = weights[donor], after


def exploits_of(events):
    return [event for event in events if event["event"] == "exploited"]


def told(events):
    """Return what must not depend on the clock, nor on the number of trials at once."""
    left_out = ("time", "node", "process")
    kept = [e for e in events if e["event"] in ("suggested", "result", "exploited", "ended")]
    plain = [{k: v for k, v in e.items() if k not in left_out} for e in kept]
    for event in plain:
        if "metrics" in event:
            event["metrics"] = {k: v for k, v in event["metrics"].items() if k != "process"}
    return sorted(plain, key=lambda e: (e["trial"], e.get("epoch", 0), e["event"]))


@pytest.mark.long
def test_a_population_larger_than_the_cluster_continues_from_the_weights_of_donors(run_population):
    events, trials, study = run_population(summing())
    assert_true(events, trials)
    # Two of eight after the epochs 2, 4 and 6.
    assert [event["epoch"] for event in exploits_of(events)] == [2, 2, 4, 4, 6, 6]
    assert {trial.status for trial in trials.values()} == {"finished"}
    assert {trial.epochs for trial in trials.values()} == {EPOCHS}
    # Waiting is neither a start nor a restoration, and costs no trial its process.
    started = [event["trial"] for event in events if event["event"] == "started"]
    assert sorted(started) == sorted(trials)
    assert not [event for event in events if event["event"] == "restored"]
    processes = {e["metrics"]["process"] for e in events if e["event"] == "result"}
    assert len(processes) == 2
    ranked = sorted(trials, key=lambda index: -trials[index].best.value)
    for index in trials:
        kept = [path.name for path in (study.trials_dir / f"{index:04d}").glob("checkpoint_*")]
        best, _ = trials[index].best
        assert kept == ([f"checkpoint_{best:06d}"] if index in ranked[:5] else [])
    assert not (study.directory / ".tune").exists()

    schedule = json.loads((study.directory / "best" / "schedule.json").read_text())
    assert schedule["epoch"] == EPOCHS
    replayed = 0.0
    for epoch in range(1, EPOCHS + 1):
        replayed += [value for first, value in schedule["schedule"]["quality"] if first <= epoch][
            -1
        ]
    assert replayed == schedule["score"]

    # One at a time it is the same population.
    alone, _, _ = run_population(summing(), max_concurrent=1, name="alone")
    assert told(alone) == told(events)
    assert len({e["metrics"]["process"] for e in alone if e["event"] == "result"}) == 1


def function():
    """A member as a function, which Tune stops at its last epoch."""

    def train(config):
        epoch, weights, found = 0, 0.0, tune.get_checkpoint()
        if found is not None:
            with found.as_directory() as folder:
                epoch, weights = json.loads(Path(folder, "w").read_text())
        while True:
            epoch, weights = epoch + 1, weights + config["quality"]
            with tempfile.TemporaryDirectory() as folder:
                Path(folder, "w").write_text(json.dumps([epoch, weights]))
                checkpoint = tune.Checkpoint.from_directory(folder)
                tune.report({"score": weights, "trained": epoch}, checkpoint=checkpoint)

    return train


@pytest.mark.long
def test_functions_with_checkpoints_are_a_population(run_population):
    events, trials, _ = run_population(function(), trials=3, interval=4)
    assert_true(events, trials)
    assert [exploit["epoch"] for exploit in exploits_of(events)] == [4]
    for trial in trials.values():
        assert (trial.status, trial.epochs) == ("finished", EPOCHS)
        assert all(told["trained"] == epoch for epoch, told in trial.results.items())


@pytest.mark.slow
def test_members_that_fail_delay_no_other_member_and_are_no_donors(run_population, tmp_path):
    marker = tmp_path / "died"

    def act(config, epoch, result):
        if config["seed"] % 3 == 0 and epoch == 3:
            raise RuntimeError("no luck")
        if config["seed"] % 3 == 1 and epoch == 4:
            result["score"] = math.nan
        if epoch == 5 and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    events, trials, _ = run_population(summing(act))
    assert_true(events, trials)
    assert marker.exists()
    statuses = {trial.status for trial in trials.values()}
    assert statuses >= {"finished", "failed"} or statuses >= {"finished", "diverged"}
    assert [e["event"] for e in events].count("restored") == 1
    ended_in = {e["trial"]: e["epoch"] for e in events if e["event"] == "ended"}
    for exploit in exploits_of(events):
        for member in (exploit["trial"], exploit["donor"]):
            assert ended_in[member] > exploit["epoch"]
    assert any(exploit["epoch"] == 6 for exploit in exploits_of(events))


@pytest.mark.slow
def test_a_population_that_fits_keeps_its_processes_and_restores_a_member_that_dies_waiting(
    run_population, tmp_path
):
    first, dead = tmp_path / "first", tmp_path / "dead"

    def die():
        dead.touch()
        os.kill(os.getpid(), signal.SIGKILL)

    def act(config, epoch, result):
        if epoch != 3 or dead.exists():
            return
        try:
            first.touch(exist_ok=False)
            # By then it has reported, and waits.
            threading.Timer(0.3, die).start()
        except FileExistsError:
            while not dead.exists():
                time.sleep(0.01)
            time.sleep(0.3)

    events, trials, _ = run_population(summing(act), trials=2, interval=1)
    assert_true(events, trials)
    assert len(exploits_of(events)) == EPOCHS - 1
    assert len({e["metrics"]["process"] for e in events if e["event"] == "result"}) == 3


def test_without_trials_given_a_population_has_eight_members(tmp_path):
    pbt = PBT(SPACE, perturbed=["quality"], max_epochs=EPOCHS, interval=2, seed=0)
    searcher = RandomSearch(SPACE, seed=0)
    study = study_in(tmp_path, trainable=summing(), searcher=searcher, scheduler=pbt, trials=None)
    assert study.total == 8


# The schedule.


def suggested(trial, quality):
    return {"event": "suggested", "trial": trial, "config": {"quality": quality, "seed": trial}}


def exploited(trial, epoch, donor, quality):
    return {
        **{"event": "exploited", "trial": trial, "epoch": epoch, "donor": donor},
        **{"value": 0.1, "donor_value": 0.2, "changes": {"quality": quality}},
    }


@pytest.fixture
def family():
    """Three trials: 2 takes over from 1 after epoch 4, which did from 0 after epoch 2. Return the
    scheduler that has decided so, and the trials."""
    events = [
        *(suggested(index, quality) for index, quality in enumerate((0.3, 0.1, 0.2))),
        exploited(1, 2, 0, [0.1, 0.36]),
        exploited(2, 4, 1, [0.2, 0.36]),
        exploited(1, 6, 0, [0.36, 0.3]),
    ]
    pbt = PBT(SPACE, perturbed=["quality"], max_epochs=9, interval=2, seed=0, members=3)
    for event in map(typed, events):
        pbt.on_event(event, replay=True)
    return pbt, trials_from(events)


@pytest.mark.parametrize(
    ("trial", "epoch", "line"),
    [
        (0, 9, [(1, 0)]),
        (1, 2, [(1, 1)]),
        (1, 3, [(1, 0), (3, 1)]),
        (2, 4, [(1, 2)]),
        (2, 9, [(1, 0), (3, 1), (5, 2)]),
        (1, 9, [(1, 0), (7, 1)]),
    ],
)
def test_the_lineage_follows_the_weights_back_to_their_first_trial(family, trial, epoch, line):
    pbt, trials = family
    best = {"trial": trial, "epoch": epoch, "score": 0.9, "config": {}}
    assert pbt.finish(trials, best, "score").content["lineage"] == line


def test_the_schedule_has_an_entry_for_each_change_and_the_config_that_repeats_it(family):
    pbt, trials = family
    best = {"trial": 2, "epoch": 8, "score": 0.9, "config": trials[2].config_at(8)}
    content = pbt.finish(trials, best, "score").content
    assert json.loads(json.dumps(content)) == {
        **{"trial": 2, "epoch": 8, "score": 0.9, "lineage": [[1, 0], [3, 1], [5, 2]]},
        "schedule": {"quality": [[1, 0.3], [3, 0.36]]},
        "config": {"quality": 0.36, "seed": 2, "quality_schedule": [[1, 0.3], [3, 0.36]]},
    }


def test_an_exploit_removes_hyperparameters_that_the_donor_lacks():
    trial = trial_of(0, {"optimizer": "sgd", "momentum": 0.9})
    changes = {"optimizer": ["sgd", "adam"], "momentum": [0.9, None]}
    trial.apply(event_of("exploited", epoch=2, donor=1, changes=changes))
    assert trial.config_at(2) == {"optimizer": "sgd", "momentum": 0.9}
    assert trial.config_at(3) == {"optimizer": "adam"}


def test_an_exploit_distinguishes_a_value_of_none_from_an_absent_one():
    trial = trial_of(0, {"decay": 0.1, "clip": 1.0})
    changes = {"decay": [0.1, None], "clip": [1.0, None]}
    trial.apply(event_of("exploited", epoch=2, changes=changes, absent=["clip"]))
    assert trial.config_at(2) == {"decay": 0.1, "clip": 1.0}
    assert trial.config_at(3) == {"decay": None}


# Studies that cannot be a population.


def without_checkpoints():
    return type("Forgetful", (tune.Trainable,), {"step": lambda self: {"score": 1.0}})


@pytest.mark.parametrize(
    ("flags", "searcher", "trainable", "said"),
    [
        ({"resume": "results/x"}, RandomSearch, summing(), "neither resumed nor extended"),
        ({}, lambda s, seed: TPESearch(s, seed=seed, startup=5), summing(), "TPESearch learns"),
        ({}, RandomSearch, without_checkpoints(), "Forgetful does not resume from a checkpoint"),
    ],
)
def test_flags_searchers_and_trainables_unfit_for_a_population_are_refused(
    tmp_path, flags, searcher, trainable, said
):
    def planned(flags, searcher, trainable):
        pbt = PBT(SPACE, perturbed=["quality"], max_epochs=EPOCHS, interval=2, seed=0)
        strategies = {"searcher": searcher(SPACE, seed=0), "scheduler": pbt}
        study_in(tmp_path, trainable=trainable, **strategies, **flags)

    with pytest.raises(ValueError, match=said):
        planned(flags, searcher, trainable)
    planned({}, RandomSearch, summing())


class OutOfMemoryError(RuntimeError):
    """Raise as torch does."""


@pytest.mark.long
def test_waiting_members_release_the_gpu_for_a_member_that_needs_a_whole_one(run_population):
    def act(config, epoch, result):
        gpus = ray.get_runtime_context().get_assigned_resources()["GPU"]
        result["gpus"] = gpus
        # The other members are through with this epoch, and hold the rest of the GPU.
        if config["seed"] == seeds[0] and epoch == 2 and gpus < 1:
            time.sleep(2)
            raise OutOfMemoryError("CUDA out of memory")

    seeds = [trial_seed(0, index) for index in range(4)]
    quarters = {"cpus_per_trial": 0.5, "gpus_per_trial": 0.25, "max_concurrent": 4}
    events, trials, _ = run_population(summing(act), trials=4, **quarters)
    assert_true(events, trials)
    assert [e["gpus"] for e in events if e["event"] == "share"] == [[0.25, 0.5], [0.5, 1.0]]
    assert trials[0].results[EPOCHS]["gpus"] == 1.0
    assert {trial.status for trial in trials.values()} == {"finished"}
