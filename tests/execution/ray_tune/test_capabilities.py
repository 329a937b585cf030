"""Whether a trainable can resume is read from its code, before it has run."""

from functools import partial

import pytest
from ray import tune

import tune_cluster as tc
from tune_cluster.execution.ray_tune.capabilities import can_resume
from tune_cluster.execution.ray_tune.script import script_trainable
from tune_cluster.execution.sending import variables


def found():
    return tune.get_checkpoint()


class Loop:
    def __call__(self, config):
        return self.load(config)

    def load(self, config):
        return found()


class Without(tune.Trainable):
    def load_checkpoint(self, checkpoint):
        pass


class With(Without):
    def save_checkpoint(self, checkpoint_dir):
        pass


def directly(config):
    with tune.get_checkpoint().as_directory():
        pass


def by_a_helper(config):
    found()


def by_an_object(config):
    Loop()(config)


def in_a_function_of_its_own(config):
    def load():
        return tune.get_checkpoint()

    load()


def by_epochs(config):
    for _ in tc.epochs(3, model=config["model"]):
        tc.report(loss=1.0)


def by_epochs_of_its_own_import(config):
    from tune_cluster import epochs

    objects = {"model": config["model"]}
    for _ in epochs(3, **objects):
        tc.report(loss=1.0)


def by_epochs_that_are_only_counted(config):
    for _ in tc.epochs(int(config["epochs"])):
        tc.report(loss=1.0)


def by_a_callback(config):
    from tune_cluster.integrations.xgboost import TuneCallback

    TuneCallback()


def saves_only(config):
    tune.report({"loss": 1.0}, checkpoint=tune.Checkpoint.from_directory("."))


def nothing(config, data=None):
    tune.report({"loss": 1.0})


GO_ON = (
    *(directly, by_a_helper, by_an_object, in_a_function_of_its_own, Loop(), Loop().load, With),
    *(by_epochs, by_epochs_of_its_own_import, by_a_callback),
)


@pytest.mark.parametrize("trainable", GO_ON)
def test_a_trainable_that_reads_a_checkpoint_can_resume(trainable):
    assert can_resume(trainable)


BEGIN_ANEW = (saves_only, nothing, by_epochs_that_are_only_counted, Without)


@pytest.mark.parametrize("trainable", [*BEGIN_ANEW, partial(nothing, data=1)])
def test_a_trainable_that_reads_no_checkpoint_cannot_resume(trainable):
    assert not can_resume(trainable)


@pytest.mark.parametrize("saves", [True, False])
def test_a_script_can_resume_if_its_source_saves_checkpoints(saves):
    assert can_resume(script_trainable("train.py", [], saves=saves)) is saves


@pytest.mark.parametrize("inner", [directly, nothing])
def test_a_wrapped_function_can_resume_if_the_function_inside_can(inner):
    def with_data(config, data=None):
        inner(config)

    for wrapped in (
        partial(inner),
        tune.with_parameters(with_data, data=[1]),
        tune.with_resources(lambda config: inner(config), {"cpu": 1}),
    ):
        assert can_resume(wrapped) is (inner is directly)


def test_a_variable_without_a_value_yet_is_skipped():
    def train(config):
        later(config)

    assert not can_resume(train)
    assert "later" not in dict(variables(train))

    def later(config):
        found()

    assert can_resume(train)
