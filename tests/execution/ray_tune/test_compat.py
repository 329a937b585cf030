"""Contract with Ray Tune: these tests fail when Ray changes a private name that is used."""

import gc
import json
import os
import pickle
import random
import sys
import threading
from pathlib import Path

import optuna
import pytest
from ray import tune
from ray.train._internal.storage import StorageContext
from ray.tune.experiment import Trial
from ray.tune.schedulers import ASHAScheduler, HyperBandScheduler, PopulationBasedTraining
from ray.tune.schedulers.pb2 import PB2
from ray.tune.search import BasicVariantGenerator, Searcher
from ray.tune.search.hyperopt import HyperOptSearch
from ray.tune.search.optuna import OptunaSearch
from ray.tune.utils.object_cache import _ObjectCache

from search_spaces.schedulers.asha import ASHA
from search_spaces.schedulers.base import StudyScheduler
from tests.execution.ray_tune.test_trainable import trainable_that
from tests.journals import read_events
from tests.test_hostile_pickles import Hostile
from tune_cluster.execution.ray_tune import compat
from tune_cluster.execution.ray_tune.searcher import TrialSource
from tune_cluster.study.journal import JOURNAL

CALLED_BY_RAY = {
    compat._ActorManager: ["_actor_task_failed"],
    compat.Controller: [
        "_process_trial_failure",
        "_mark_trial_to_checkpoint",
        "on_step_begin",
        "on_step_end",
    ],
}


@pytest.mark.parametrize(
    ("ours", "name"), [(ours, name) for ours, names in CALLED_BY_RAY.items() for name in names]
)
def test_ray_has_every_method_that_is_overridden(ours, name):
    assert callable(getattr(ours.__base__, name)), f"Ray never calls {ours.__name__}.{name}"


class Watched(StudyScheduler):
    """Keeps the controller, and the most trials that it has had in one step."""

    def __init__(self):
        super().__init__()
        self.controllers, self.most = set(), 0

    def choose_trial_to_run(self, controller):
        self.controllers.add(controller._tune_controller)
        self.most = max(self.most, len(controller.get_trials()))
        return super().choose_trial_to_run(controller)


@pytest.mark.slow
def test_tuner_runs_our_controller_which_forgets_ended_trials_and_writes_no_state(
    run_study, monkeypatch
):
    scheduler, pickled = Watched(), []
    tracker = "ray.air.integrations.mlflow"
    monkeypatch.delitem(sys.modules, tracker, raising=False)
    monkeypatch.setattr(TrialSource, "save", lambda self, path: pickled.append(path))
    code, trials, study = run_study(
        trainable_that(lambda *_: None),
        trials=12,
        max_epochs=1,
        scheduler=scheduler,
    )
    assert code == 0
    assert [trial.status for trial in trials.values()] == ["finished"] * 12
    (controller,) = scheduler.controllers
    assert type(controller) is compat.Controller
    assert scheduler.most <= 5, "trials that have ended stay with the controller"
    for held in ("_trials", "_live_trials", "_stopped_trials", "_failed_trials"):
        assert len(getattr(controller, held)) <= 3, held
    for held in ("_trials_to_cache", "_trial_metadata", "_trial_to_actor", "_actor_to_trial"):
        assert not getattr(controller, held), held
    assert not pickled
    assert tracker not in sys.modules, "Ray imports trackers that nobody has asked for"
    gc.collect()
    alive = [known for known in gc.get_objects() if isinstance(known, Trial)]
    folder = str(study.directory)
    assert len([trial for trial in alive if str(trial.path).startswith(folder)]) <= 3, (
        "somebody of Tune's keeps trials that have ended, 30 KB each"
    )
    assert len(controller._class_cache._cache) == 1, "each process is sent a trainable of its own"


@pytest.mark.long
def test_a_process_that_dies_between_two_trials_fails_neither_of_them(run_study, tmp_path):
    def act(config, epoch, result):
        died = tmp_path / f"{config['quality']}"
        # Once a trial: on a busy machine it may be lost in this epoch in every retry.
        if epoch == 9 and not died.exists():
            died.touch()
            # From before Tune hands it on until after the next trial has begun.
            delay = config["quality"] / 20
            threading.Timer(delay, os._exit, args=(1,)).start()

    code, trials, study = run_study(
        trainable_that(act),
        trials=6,
        max_concurrent=1,
        scheduler=ASHA(max_epochs=9, rung_rule="ray", grace_period=9),
    )
    assert code == 0
    assert [(trial.status, trial.epochs) for trial in trials.values()] == [("finished", 9)] * 6
    events = read_events(study.directory / JOURNAL)
    assert len([e for e in events if e["event"] == "ended"]) == 6
    assert [e for e in events if e["event"] == "retried"]


class Lost:
    """A trial of Tune's whose process was lost."""

    status = Trial.RUNNING
    max_failures = 20


@pytest.mark.parametrize("status", [Trial.PENDING, Trial.PAUSED, Trial.ERROR])
def test_a_process_loss_that_ray_reports_twice_is_counted_once(monkeypatch, status):
    """A trial that was killed for memory rests, and one that has failed has ended."""
    trial, counted = Lost(), []

    def process(self, trial, exception):
        trial.status = Trial.ERROR if trial.max_failures == 0 else Trial.PENDING

    class Losses:
        def lost(self, trial, error):
            counted.append(error)
            return status == Trial.ERROR

        def rests(self, trial, *, failed, others):
            return status == Trial.PAUSED

    monkeypatch.setattr(compat.TuneController, "_process_trial_failure", process)  # type: ignore[attr-defined]
    controller = compat.Controller.__new__(compat.Controller)
    controller._losses, controller._resetting_trials = Losses(), set()
    controller._running_trials = set()
    controller._set_trial_status = lambda trial, status: setattr(trial, "status", status)
    for _ in range(2):
        controller._process_trial_failure(trial, compat.ProcessLostError(ValueError("killed")))
        assert trial.status == status
    assert len(counted) == 1


def test_as_many_processes_are_kept_as_a_next_round_may_need(monkeypatch):
    class Queue:
        expected = 3

        def upcoming(self):
            return self.expected

    trial, queue = Trial("train", stub=True), Queue()
    monkeypatch.setattr(compat.TuneController, "on_step_begin", lambda self: None)  # type: ignore[attr-defined]
    controller = compat.Controller.__new__(compat.Controller)
    controller._losses, controller._kept, controller._trials = queue, None, [trial]
    cache = controller._actor_cache = _ObjectCache(may_keep_one=True)
    for process in range(5):
        controller.on_step_begin()
        assert cache.cache_object(trial.placement_group_factory, process) == (process < 3)
        assert not list(cache.flush_cached_objects())
    # The next round is queued, and smaller: Tune counts its trials itself.
    queue.expected = 0
    controller.on_step_begin()
    assert cache.total_max_objects == 0
    cache.increase_max(trial.placement_group_factory, 2)
    assert len(list(cache.flush_cached_objects())) == 1


@pytest.mark.slow
def test_an_experiment_state_written_by_a_stranger_is_not_unpickled(
    run_study, monkeypatch, tmp_path
):
    marker = tmp_path / "was-unpickled"
    pickled = {"_type": "CLOUDPICKLE_FALLBACK", "value": pickle.dumps(Hostile(marker)).hex()}
    folder = tmp_path / "study" / ".tune"
    folder.mkdir(parents=True)
    # Later than any name that Tune gives: it opens the last one.
    (folder / "experiment_state-z.json").write_text(json.dumps({"trial_data": pickled}))
    # Where nothing is suggested Tune asks its folder which trials there were.
    monkeypatch.setattr(TrialSource, "suggest", lambda self, trial_id: Searcher.FINISHED)
    _, trials, _ = run_study(trainable_that(lambda *_: None))
    assert trials == {}
    assert not marker.exists()


def test_the_process_of_a_trial_has_the_environment_variables_of_the_started_ray(
    monkeypatch,
):
    assert compat.TRIAL_ENVIRONMENT, "Ray sets none any more"
    for name, value in compat.TRIAL_ENVIRONMENT.items():
        # A study before in this process has taken them away.
        monkeypatch.setitem(compat.class_cache.DEFAULT_ENV_VARS, name, value)  # type: ignore[attr-defined]
    environment = compat.as_trial(lambda: None)._runtime_env["env_vars"]
    assert compat.TRIAL_ENVIRONMENT.items() <= environment.items(), (
        "no process that stands ready is taken over by a trial"
    )


def test_a_trainable_continues_from_the_steps_and_seconds_that_are_set():
    class Toy(tune.Trainable):
        def step(self):
            return {"score": 1.0}

    trainable = Toy()
    compat.set_progress(trainable, iteration=5, seconds=100.0)
    result = trainable.train()
    assert result["training_iteration"] == 6
    assert result["time_total_s"] >= 100
    steps, seconds = compat.progress(trainable)
    assert (steps, seconds) == (6, result["time_total_s"])


@pytest.fixture
def own_directory(tmp_path, monkeypatch):
    """Tune's session of a function changes the working directory, here of the tests."""
    monkeypatch.chdir(tmp_path)


def test_a_function_loads_the_offered_checkpoint_and_its_own_is_stored_on_this_node(
    cluster_address, tmp_path, own_directory
):
    offered, reported = tmp_path / "offered", tmp_path / "reported"
    for folder in (offered, reported):
        folder.mkdir()
        (folder / "name").write_text(folder.name)

    def function(config):
        with tune.get_checkpoint().as_directory() as folder:
            loaded = Path(folder, "name").read_text()
        tune.report({"loaded": loaded}, checkpoint=tune.Checkpoint.from_directory(str(reported)))

    storage = StorageContext(
        storage_path=str(tmp_path / "study"),
        experiment_dir_name=".tune",
        trial_dir_name="0012_5e72",
    )
    trainable = compat.wrap_function(function)(storage=storage)
    assert compat.trial_dirname(trainable) == "0012"
    compat.move_to_this_node(trainable)
    compat.function_session().loaded_checkpoint = tune.Checkpoint(str(offered))
    assert trainable.step()["loaded"] == "offered"
    kept = compat.reported_checkpoint(trainable)
    assert not kept.path.startswith(str(tmp_path / "study")), (
        "a study in a bucket, or whose storage is full, loses the checkpoints of functions"
    )
    with kept.as_directory() as folder:
        assert Path(folder, "name").read_text() == "reported"
    assert compat.RESULT_DUPLICATE in trainable.step(), "a function's return is not seen"
    compat.end_function_session()
    assert compat.function_session() is None


def test_the_error_of_a_function_is_the_cause_of_what_its_thread_raises(
    tmp_path, cluster_address, own_directory
):
    error = ValueError("why")

    def function(config):
        raise error

    storage = StorageContext(
        storage_path=str(tmp_path), experiment_dir_name=".tune", trial_dir_name="0001"
    )
    trainable = compat.wrap_function(function)(storage=storage)
    with pytest.raises(compat.StartTraceback) as raised:
        trainable.step()
    compat.end_function_session()
    causes: list[BaseException] = [raised.value]
    while causes[-1].__cause__ is not None:
        causes.append(causes[-1].__cause__)
    assert causes[-1] is error, "the journal has Tune's error in place of the trial's"


# Objects of the user's script.


def test_the_arguments_of_a_halving_scheduler_can_be_read():
    given = {"max_t": 50, "grace_period": 2, "reduction_factor": 5, "brackets": 2}
    scheduler = ASHAScheduler(time_attr="steps", stop_last_trials=False, **given)
    rules = compat.HalvingRules.of(scheduler)
    assert {name: getattr(rules, name) for name in given} == given
    assert (rules.time_attr, rules.stop_last_trials) == ("steps", False)


def test_the_arguments_of_a_searcher_can_be_read():
    points = [{"rate": 0.5}]
    assert compat.searcher_arguments(HyperOptSearch()) == {}
    assert compat.searcher_arguments(OptunaSearch()) == {}
    assert compat.searcher_arguments(BasicVariantGenerator()) == {}
    for kind in (HyperOptSearch, OptunaSearch, BasicVariantGenerator):
        found = compat.searcher_arguments(kind(points_to_evaluate=points))
        assert found == {"points_to_evaluate": points}, kind
    sampler = optuna.samplers.RandomSampler()
    given = {"sampler": sampler, "seed": 3}
    assert compat.searcher_arguments(OptunaSearch(**given)) == given


def test_metric_and_mode_of_a_strategy_can_be_read():
    given = {"metric": "loss", "mode": "min"}
    for strategy in (ASHAScheduler(**given), HyperBandScheduler(**given), OptunaSearch(**given)):
        assert compat.objective_of(strategy) == ("loss", "min"), strategy
    assert compat.objective_of(ASHAScheduler()) == (None, None)
    assert compat.objective_of(BasicVariantGenerator()) == (None, None)


def member(number, rate):
    # Tune begins with such objects, which need no cluster.
    trial = Trial("__fake", stub=True, trial_id=f"m{number}")
    trial.set_config({"model": {"rate": rate}})
    return trial


@pytest.mark.parametrize("kind", ["pbt", "pb2"])
def test_a_population_scheduler_changes_a_configuration_without_tune(kind):
    rest = {"time_attr": "training_iteration", "perturbation_interval": 2}
    if kind == "pbt":
        scheduler = PopulationBasedTraining(
            hyperparam_mutations={"model": {"rate": tune.uniform(0.0, 1.0)}}, **rest
        )
    else:
        scheduler = PB2(hyperparam_bounds={"model": {"rate": [0.0, 1.0]}}, **rest)
    mutations = compat.Mutations(scheduler)
    assert (mutations.perturbed, mutations.interval) == (["model/rate"], 2)
    assert mutations.bounds == (kind == "pb2")
    mutations.check("score", "max")
    members = [member(0, 0.25), member(1, 0.75)]
    for epoch in (2, 4):
        for number, trial in enumerate(members):
            result = {"training_iteration": epoch, "score": epoch * (1.0 + number)}
            mutations.tell(trial, result)
    state = random.getstate()
    first = mutations.explored(members[0], members[1], seed=1)
    assert random.getstate() == state
    assert 0.0 <= first["model"]["rate"] <= 1.0
    assert first != members[1].config
    if kind == "pbt":
        assert first == mutations.explored(members[0], members[1], seed=1)
