"""Flags that were given and that a job would ignore."""

import pytest
from ray import tune

from search_spaces.schedulers.asha import ASHA
from search_spaces.searchers.random_search import RandomSearch
from tests.in_process import SPACE, study_in
from tune_cluster.execution.command_line import parse
from tune_cluster.execution.validation import refuse_unused


def job(options):
    """Does it work?"""


def function(config):
    tune.report({"score": config["quality"]})


class Unsaved(tune.Trainable):
    def step(self):
        return {"score": 1.0}


class Saved(Unsaved):
    def save_checkpoint(self, folder):
        pass


def refuse(tmp_path, argv, trainable=function, max_epochs=27):
    command = parse(job, argv)
    study = study_in(tmp_path, max_epochs=command.options.max_epochs)
    study.trainable(trainable)
    study.tune_config(RandomSearch(SPACE, seed=0), ASHA(max_epochs=max_epochs))
    refuse_unused(command.given, command.options, study)


@pytest.mark.parametrize(
    ("argv", "trainable"),
    [
        (["--keep-best", "2"], Unsaved),
        (["--checkpoint-budget", "1GB"], Unsaved),
        (["--price-per-gpu-hour", "2"], Saved),
        (["--max-epochs", "9"], Saved),
    ],
)
def test_a_flag_without_an_effect_is_refused(tmp_path, argv, trainable):
    with pytest.raises(ValueError, match=f"^{argv[-2]} {argv[-1]}"):
        refuse(tmp_path, argv, trainable)


@pytest.mark.parametrize(
    ("argv", "trainable"),
    [
        ([], Unsaved),
        (["--keep-best", "2", "--checkpoint-budget", "1GB"], Saved),
        # Whether it reports checkpoints shows only when it runs.
        (["--keep-best", "2"], function),
        (["--price-per-gpu-hour", "2", "--gpus-per-trial", "0.5"], Saved),
        (["--max-epochs", "27"], Saved),
    ],
)
def test_a_flag_that_has_one_is_not(tmp_path, argv, trainable):
    refuse(tmp_path, argv, trainable)


def test_the_epochs_of_a_smoke_test_are_not_refused(tmp_path):
    refuse(tmp_path, ["--smoke-test"], max_epochs=3)
