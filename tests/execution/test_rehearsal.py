"""A few steps of a handful of configurations, as the trainable measures them."""

import os
import signal
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import ray
from ray import tune
from ray.util.placement_group import placement_group, remove_placement_group

from search_spaces.searchers.random_search import RandomSearch
from tests.in_process import SPACE, study_in
from tune_cluster.execution.rehearsal import POINTS, rehearse


def measured():
    """The better its quality, the longer an epoch; the best is too large. Made in a function, so
    that it travels to the workers by value."""

    class Measured(tune.Trainable):
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


def planned(directory, trainable, space=SPACE, **flags):
    study = study_in(directory, **flags)
    study.parts.trainable = trainable
    study.tune_config(RandomSearch(space, seed=0))
    return study


def test_every_eighth_of_a_range_is_measured_with_the_bytes_of_what_is_saved(tmp_path):
    found = rehearse(planned(tmp_path, measured(), cpus_per_trial=2.0))
    eighths = sorted(int(8 * one.config["quality"]) for one in found)
    assert eighths == list(range(POINTS))
    good = [one for one in found if not one.error]
    assert len(good) == POINTS - 1
    for one in good:
        assert (one.step_seconds, one.epoch_seconds) == (2.0, one.config["quality"])
        assert one.checkpoint_bytes == 1024


def test_one_that_fails_says_why_and_the_others_are_measured(tmp_path):
    (failed,) = (one for one in rehearse(planned(tmp_path, measured())) if one.error)
    assert failed.config["quality"] > 7 / 8
    assert failed.error == "MemoryError: no room for it"


def test_where_all_is_fixed_there_is_one_to_measure(tmp_path):
    (only,) = rehearse(planned(tmp_path, measured(), SPACE.fix(quality=0.5)))
    assert (only.config, only.epoch_seconds) == ({"quality": 0.5}, 0.5)


def test_a_trainable_that_cannot_be_measured_is_not(tmp_path):
    assert rehearse(planned(tmp_path, lambda config: None)) == []


@pytest.fixture
def idle_cluster(cluster_address):
    """Whose nodes have told that what an earlier test took is free again."""
    deadline = time.monotonic() + 60
    while {"CPU": 2, "GPU": 1}.items() - ray.available_resources().items():
        assert time.monotonic() < deadline, "somebody has it"
        time.sleep(0.1)


@pytest.mark.slow
def test_where_trials_share_a_gpu_so_do_those_that_are_measured(idle_cluster, tmp_path):
    found = rehearse(planned(tmp_path, measured(), gpus_per_trial=0.5))
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
def test_no_more_are_measured_at_once_than_have_room(idle_cluster, tmp_path):
    calls = tmp_path / "calls"
    calls.mkdir()

    class Counted(tune.Trainable):
        @staticmethod
        def measure(config, checkpoint_dir, *, cpus, on_gpu):
            (calls / Path(checkpoint_dir).name).touch()
            return {"step_seconds": 1.0, "epoch_seconds": 1.0}

    with taken(CPU=1):
        found = rehearse(planned(tmp_path / "study", Counted, gpus_per_trial=0.5))
    assert len(found) == len(list(calls.iterdir())) == POINTS


@pytest.mark.slow
def test_what_others_have_is_not_waited_for(idle_cluster, tmp_path):
    with taken(GPU=1) as group:
        released = threading.Timer(5.0, remove_placement_group, [group])
        released.start()
        assert rehearse(planned(tmp_path, measured(), gpus_per_trial=0.5)) == []
        released.cancel()


@pytest.mark.slow
def test_a_process_that_dies_of_what_is_measured_leaves_the_price_unknown(idle_cluster, tmp_path):
    class Dies(tune.Trainable):
        @staticmethod
        def measure(config, checkpoint_dir, *, cpus, on_gpu):
            os.kill(os.getpid(), signal.SIGKILL)

    assert rehearse(planned(tmp_path, Dies, gpus_per_trial=1)) == []


@pytest.mark.slow
def test_no_gpu_is_waited_for_before_a_person_has_agreed(idle_cluster, tmp_path):
    assert rehearse(planned(tmp_path, measured(), gpus_per_trial=2)) == []
