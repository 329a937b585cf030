"""Rehearsal: a few steps of a trial before the study."""

import os
import signal
import tempfile
import threading
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psutil
import pytest
import ray
from ray import tune
from ray.util.placement_group import placement_group, remove_placement_group

from search_spaces.searchers.random_search import RandomSearch
from tests.in_process import SPACE, Scored, study_in
from tune_cluster.execution import rehearsal
from tune_cluster.execution.rehearsal import REHEARSED_CONFIGS, rehearse

rehearsed = partial(rehearse, step=False)


def measured():
    """The better its quality, the longer an epoch; the best is too large. Made in a function, so
    that it travels to the workers by value."""

    class Measured(Scored):
        @staticmethod
        def measure(config, checkpoint_dir, *, cpus, on_gpu):
            if config["quality"] > 7 / 8:
                raise MemoryError("no room for it\nat all")
            folder = Path(checkpoint_dir, "deeper")
            folder.mkdir()
            (folder / "weights").write_bytes(bytes(1000))
            Path(checkpoint_dir, "config").write_bytes(bytes(24))
            return {"step_seconds": cpus, "epoch_seconds": config["quality"] + on_gpu}

    return Measured


def measured_by(directory, trainable, space=SPACE, **flags):
    searcher = RandomSearch(space, seed=0)
    return study_in(directory, trainable=trainable, searcher=searcher, **flags)


def test_every_eighth_of_a_range_is_measured_with_the_bytes_of_its_checkpoint(tmp_path):
    found = rehearsed(measured_by(tmp_path, measured(), cpus_per_trial=2.0))
    eighths = sorted(int(8 * one.config["quality"]) for one in found)
    assert eighths == list(range(REHEARSED_CONFIGS))
    good = [one for one in found if not one.error]
    assert len(good) == REHEARSED_CONFIGS - 1
    for one in good:
        assert (one.step_seconds, one.epoch_seconds) == (2.0, one.config["quality"])
        assert one.checkpoint_bytes == 1024


def test_slow_rehearsals_end_after_some_time_with_those_that_were_made(tmp_path, monkeypatch):
    monkeypatch.setattr(rehearsal, "REHEARSAL_SECONDS", 0.0)
    assert len(rehearsed(measured_by(tmp_path, measured()))) == 1


def test_a_rehearsal_that_fails_has_its_error_and_the_others_are_measured(tmp_path):
    (failed,) = (one for one in rehearsed(measured_by(tmp_path, measured())) if one.error)
    assert failed.config["quality"] > 7 / 8
    assert failed.error == "MemoryError: no room for it"


def test_a_space_that_is_fixed_has_one_rehearsal(tmp_path):
    (only,) = rehearsed(measured_by(tmp_path, measured(), SPACE.fix(quality=0.5)))
    assert (only.config, only.epoch_seconds) == ({"quality": 0.5}, 0.5)


def reporting():
    """A function that reports and saves. Made in a function, so that it travels by value."""

    def train(config):
        for epoch in (1, 2, 3):
            time.sleep(0.1)
            with tempfile.TemporaryDirectory() as folder:
                Path(folder, "weights").write_bytes(bytes(100_000))
                saved = tune.Checkpoint.from_directory(folder)
                tune.report({"score": epoch}, checkpoint=saved)

    return train


@pytest.mark.slow
def test_without_measure_one_step_is_run_if_a_cost_estimate_is_asked_for(idle_cluster, tmp_path):
    study = measured_by(tmp_path, reporting())
    assert rehearsed(study) == []
    (tried,) = rehearse(study, step=True)
    assert tried.epoch_seconds >= 0.1
    assert 100_000 < tried.checkpoint_bytes < 110_000
    assert not tmp_path.joinpath("trials").exists()


@pytest.mark.slow
def test_a_step_that_fails_has_its_error(idle_cluster, tmp_path):
    def fails(config):
        raise FileNotFoundError("no data there")

    (tried,) = rehearse(measured_by(tmp_path, fails), step=True)
    assert "no data there" in tried.error


@pytest.mark.slow
def test_a_step_that_exceeds_its_time_leaves_the_cost_unknown(idle_cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(rehearsal, "STEP_SECONDS", 10.0)

    def hangs(config):
        (tmp_path / "pid").write_text(str(os.getpid()))
        time.sleep(600)

    assert rehearse(measured_by(tmp_path, hangs), step=True) == []
    pid = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 60
    while psutil.pid_exists(pid):
        assert time.monotonic() < deadline, "it holds its memory"
        time.sleep(0.1)


@pytest.fixture
def idle_cluster(cluster_address):
    """A cluster whose nodes report the resources of an earlier test as free again."""
    deadline = time.monotonic() + 60
    while {"CPU": 2, "GPU": 1}.items() - ray.available_resources().items():
        assert time.monotonic() < deadline, "somebody has it"
        time.sleep(0.1)


@pytest.mark.slow
def test_rehearsals_share_a_gpu_as_trials_do(idle_cluster, tmp_path):
    found = rehearsed(measured_by(tmp_path, measured(), gpus_per_trial=0.5))
    assert [bool(one.error) for one in found].count(True) == 1
    assert all(one.error or one.epoch_seconds == 1 + one.config["quality"] for one in found)


@contextmanager
def taken(**resources):
    """Resources of the cluster that another one has."""
    group = placement_group([resources])
    ray.get(group.ready())
    try:
        yield group
    finally:
        remove_placement_group(group)


@pytest.mark.slow
def test_no_more_rehearsals_run_at_once_than_fit_on_the_cluster(idle_cluster, tmp_path):
    calls = tmp_path / "calls"
    calls.mkdir()

    class Counted(Scored):
        @staticmethod
        def measure(config, checkpoint_dir, *, cpus, on_gpu):
            (calls / Path(checkpoint_dir).name).touch()
            return {"step_seconds": 1.0, "epoch_seconds": 1.0}

    with taken(CPU=1):
        found = rehearsed(measured_by(tmp_path / "study", Counted, gpus_per_trial=0.5))
    assert len(found) == len(list(calls.iterdir())) == REHEARSED_CONFIGS


@pytest.mark.slow
def test_a_rehearsal_does_not_wait_for_a_gpu_that_others_hold(idle_cluster, tmp_path):
    with taken(GPU=1) as group:
        released = threading.Timer(5.0, remove_placement_group, [group])
        released.start()
        assert rehearsed(measured_by(tmp_path, measured(), gpus_per_trial=0.5)) == []
        released.cancel()


@pytest.mark.slow
def test_a_process_that_dies_in_a_rehearsal_leaves_the_cost_unknown(idle_cluster, tmp_path):
    class Dies(Scored):
        @staticmethod
        def measure(config, checkpoint_dir, *, cpus, on_gpu):
            os.kill(os.getpid(), signal.SIGKILL)

    assert rehearsed(measured_by(tmp_path, Dies, gpus_per_trial=1)) == []


@pytest.mark.slow
def test_a_rehearsal_does_not_wait_for_gpus_that_the_cluster_lacks(idle_cluster, tmp_path):
    assert rehearsed(measured_by(tmp_path, measured(), gpus_per_trial=2)) == []
