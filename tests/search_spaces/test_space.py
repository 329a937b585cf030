"""Hyperparameters and spaces as data."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces.catalogue import (
    BATCH_SIZE,
    CATALOGUE,
    LEARNING_RATE,
    MOMENTUM,
    NESTEROV,
    OPTIMIZER,
)
from search_spaces.hyperparameter import Hyperparameter
from search_spaces.space import Space
from search_spaces.spaces import FULL_RECIPE, LR_BATCH, within
from trainables.image.config import ImageConfig
from trainables.prediction.config import NUMBER_LOSSES

uniforms = st.floats(0, 1, exclude_max=True)


@pytest.mark.parametrize("parameter", CATALOGUE, ids=lambda p: p.name)
@given(u=uniforms)
def test_every_point_of_the_catalogue_lies_in_its_range(parameter, u):
    value = parameter.at(u)
    if parameter.values:
        assert value in parameter.values
    else:
        assert parameter.low <= value <= parameter.high


def test_a_log_scale_gives_each_decade_the_same_share():
    assert LEARNING_RATE.at(1 / 3) == pytest.approx(1e-3)
    assert LEARNING_RATE.at(2 / 3) == pytest.approx(1e-2)


@given(uniforms, uniforms)
def test_a_larger_number_is_never_a_smaller_value(u, v):
    low, high = sorted((u, v))
    for parameter in (LEARNING_RATE, BATCH_SIZE, MOMENTUM):
        assert parameter.at(low) <= parameter.at(high)


def test_a_conditional_parameter_is_there_only_under_its_condition():
    space = Space("s", (OPTIMIZER, MOMENTUM, LEARNING_RATE))
    with_sgd, with_adam = space.point([0.1, 0.5, 0.5]), space.point([0.9, 0.5, 0.5])
    assert "momentum" in with_sgd
    assert "momentum" not in with_adam
    assert with_sgd["learning_rate"] == with_adam["learning_rate"]


def test_a_fixed_parameter_is_no_longer_searched():
    space = LR_BATCH.fix(batch_size=64, model="cnn")
    assert [parameter.name for parameter in space.parameters] == ["learning_rate"]
    assert space.point([0.0]) == {"batch_size": 64, "model": "cnn", "learning_rate": 1e-4}


def test_a_hyperparameter_whose_condition_a_fixed_value_excludes_is_not_searched():
    space = Space("s", (OPTIMIZER, MOMENTUM, NESTEROV, LEARNING_RATE))
    names = [parameter.name for parameter in space.fix(optimizer="adam").parameters]
    assert names == ["learning_rate"]
    names = [parameter.name for parameter in space.fix(optimizer="sgd").parameters]
    assert names == ["momentum", "nesterov", "learning_rate"]
    names = [parameter.name for parameter in space.fix(learning_rate=0.1, self=1).parameters]
    assert names == ["optimizer", "momentum", "nesterov"]


def test_a_fixed_conditional_value_is_given_only_under_its_condition():
    space = Space("s", (OPTIMIZER, MOMENTUM, NESTEROV)).fix(momentum=0.5, nesterov=True)
    assert space.fixed == ()
    drawn = [space.point([u, 0.9, 0.9]) for u in (0.1, 0.5)]
    assert drawn == [
        {"optimizer": "sgd", "momentum": 0.5, "nesterov": True},
        {"optimizer": "adamw"},
    ]


@pytest.mark.parametrize("parameter", CATALOGUE, ids=lambda p: p.branch)
def test_points_of_the_full_recipe_with_any_value_fixed_are_valid_configs(parameter):
    if parameter.name in ("freeze_epochs", "milestone_unit", "epochs_scaling", "seed"):
        return  # Given with weights, with milestones in that unit, without growth, by no space.
    # Batch norm needs two samples in a part, and some batches have eight.
    excluded = {8} if parameter.name == "accumulation_steps" else {*NUMBER_LOSSES}
    for value in set(parameter.values or parameter.grid) - excluded:
        known = {"epochs": 27, parameter.name: value}
        space = within(FULL_RECIPE, int(known["epochs"])).fix(**known)
        for config in space.samples():
            ImageConfig.from_dict(config)


def test_a_space_is_plain_json():
    description = json.loads(json.dumps(LR_BATCH.fix(model="mlp").describe()))
    assert description["parameters"][0] == {
        "name": "learning_rate",
        "role": "scientific",
        "low": 1e-4,
        "high": 1e-1,
        "scale": "log",
        "integer": False,
    }
    assert description["fixed"] == {"model": "mlp"}


def parameter(**given):
    return Hyperparameter(
        **{
            "name": "x",
            "meaning": "m",
            "default": 1,
            "kind": "data",
            "role": "fixed",
            "advice": "a",
            **given,
        }
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "either low and high, or values"),
        ({"low": 0.0}, "either low and high, or values"),
        ({"low": 0.0, "high": 1.0, "values": (1,)}, "either low and high, or values"),
        ({"low": 2.0, "high": 1.0}, "low 2.0 must be below high 1.0"),
        ({"low": 0.0, "high": 1.0, "scale": "log"}, "log scale must start above 0"),
    ],
)
def test_an_impossible_hyperparameter_is_refused(given, said):
    with pytest.raises(ValueError, match=said):
        parameter(**given)


def test_a_space_refuses_duplicates_and_conditions_on_missing_hyperparameters():
    with pytest.raises(ValueError, match="learning_rate is given twice"):
        Space("s", (LEARNING_RATE, LEARNING_RATE))
    with pytest.raises(ValueError, match="momentum depends on optimizer"):
        Space("s", (MOMENTUM,))
    with pytest.raises(ValueError, match="got 1 numbers; give 2"):
        LR_BATCH.point([0.5])


@pytest.mark.parametrize(
    ("given", "default"),
    [
        ({"low": 1e-4, "high": 1e-2, "scale": "log"}, 1e-3),
        ({"low": 0.0, "high": 0.5}, 0.25),
        ({"low": 1, "high": 6, "integer": True}, 4),
        ({"low": 0.0, "high": 0.4, "step": 0.1}, 0.2),
        ({"values": ("sgd", "adam")}, "sgd"),
        ({"values": (None, 1)}, None),
        ({"values": (None, 1), "default": 1}, 1),
    ],
)
def test_a_name_and_a_range_are_enough(given, default):
    assert Hyperparameter(name="own", **given).default == default
