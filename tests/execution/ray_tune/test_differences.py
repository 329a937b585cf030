"""Settings of Ray Tune that a study treats differently are reported before it begins."""

import pytest
from ray import tune
from ray.tune.logger import CSVLoggerCallback

import tune_cluster
from tune_cluster import Tuner


class Renamed(tune_cluster.Callback):
    """A callback of Ray's in a script with another import line."""

    def on_trial_result(self, iteration, trials, trial, result, **info):
        pass


class Stateful(tune.Callback):
    def on_step_end(self, iteration, trials, **info):
        pass

    def get_state(self):
        return {}


def told(run=None, **config):
    tuner = Tuner(
        lambda config: None,
        param_space={"lr": tune.uniform(0, 1)},
        tune_config=tune.TuneConfig(metric="score", mode="max", **config),
        run_config=tune.RunConfig(**(run or {})),
    )
    return tuner.differences


def test_a_field_with_its_default_gives_no_note():
    assert told() == []
    assert told({"checkpoint_config": tune.CheckpointConfig(), "verbose": 2}) == []


@pytest.mark.parametrize(
    ("run", "config", "name"),
    [
        ({}, {"trial_name_creator": str}, "trial_name_creator"),
        ({}, {"trial_dirname_creator": str}, "trial_dirname_creator"),
        ({"log_to_file": True}, {}, "log_to_file"),
        ({"sync_config": tune.SyncConfig(sync_period=5)}, {}, "sync_config"),
        ({"progress_reporter": tune.CLIReporter()}, {}, "progress_reporter"),
        ({"checkpoint_config": tune.CheckpointConfig(num_to_keep=4)}, {}, "num_to_keep"),
        (
            {"checkpoint_config": tune.CheckpointConfig(checkpoint_score_attribute="score")},
            {},
            "checkpoint_score",
        ),
        (
            {"checkpoint_config": tune.CheckpointConfig(checkpoint_frequency=5)},
            {},
            "checkpoint_frequency",
        ),
        (
            {"checkpoint_config": tune.CheckpointConfig(checkpoint_at_end=True)},
            {},
            "checkpoint_at_end",
        ),
        ({"failure_config": tune.FailureConfig(max_failures=3)}, {}, "max_failures"),
        ({"failure_config": tune.FailureConfig(fail_fast=True)}, {}, "fail_fast"),
        ({"callbacks": [CSVLoggerCallback()]}, {}, "CSVLoggerCallback"),
        ({"callbacks": [Renamed()]}, {}, "Renamed"),
        ({"callbacks": [Stateful()]}, {}, "on_step_end, get_state"),
    ],
)
def test_each_field_with_another_meaning_than_in_ray_gives_one_note(run, config, name):
    (sentence,) = told(run, **config)
    assert name in sentence
