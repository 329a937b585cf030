"""The catalogue and the trainable's config are two sides of one thing."""

import re
from dataclasses import asdict
from typing import get_args, get_type_hints

import pytest

from search_spaces.catalogue import CATALOGUE
from tests.search_spaces.conftest import SPACES
from trainables.image.config import ImageConfig
from trainables.training.optimizers import OPTIMIZERS
from tune_cluster.reports.catalogue import hyperparameters

DEFAULTS = asdict(ImageConfig())


def names_in(hint):
    """The values of a literal, be it in a union."""
    for part in get_args(hint):
        yield from names_in(part) if get_args(part) else (part,)


NAMES = {
    name: choices
    for name, hint in get_type_hints(ImageConfig).items()
    if (choices := [value for value in names_in(hint) if isinstance(value, str)])
}
NAMES["optimizer"] = list(OPTIMIZERS)
"""Fields that are one of a list."""
NOT_TUNED = {"learning_rate_schedule", "more_scores", "split_seed"}
"""Found by PBT, and replayed; what is computed, which changes no training; and a seed."""


def given(parameter):
    """Return values that fulfil the condition of a hyperparameter."""
    if parameter.condition is None:
        return {}
    name, values = parameter.condition
    return {name: values[0]}


def test_every_field_of_the_config_is_in_the_catalogue():
    assert {parameter.name for parameter in CATALOGUE} == set(DEFAULTS) - NOT_TUNED


@pytest.mark.parametrize("parameter", CATALOGUE, ids=lambda p: p.branch)
def test_defaults_equal_those_of_the_config(parameter):
    assert parameter.default == asdict(ImageConfig(**given(parameter)))[parameter.name]


NEEDED = {"freeze_epochs": {"pretrained": "weights.pt"}}
"""Values that are compatible with every value of some hyperparameters."""


@pytest.mark.parametrize("parameter", CATALOGUE, ids=lambda p: p.branch)
def test_the_config_accepts_every_value_of_the_catalogue(parameter):
    ends = [parameter.at(u) for u in (0.0, 0.25, 0.5, 0.75, 1 - 2**-53)]
    for value in parameter.values or (*ends, *parameter.grid):
        more = NEEDED.get(parameter.name, {})
        ImageConfig.from_dict({**given(parameter), **more, parameter.name: value})


@pytest.mark.parametrize("name", NAMES)
def test_every_allowed_value_of_a_named_field_is_in_the_catalogue(name):
    for parameter in CATALOGUE:
        if parameter.name == name:
            assert set(parameter.values) == set(NAMES[name])


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
def test_no_named_space_searches_a_fixed_hyperparameter(space):
    assert [p.name for p in space.parameters if p.role == "fixed"] == []


def test_the_printed_catalogue_has_every_hyperparameter_with_its_advice(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "1000")
    hyperparameters()
    printed = capsys.readouterr().out
    for parameter in CATALOGUE:
        assert re.search(rf"^name +{parameter.name} *$", printed, re.MULTILINE)
        assert parameter.advice in printed
    assert "0 to 2,147,483,647" in printed


def test_single_hyperparameters_of_the_catalogue_can_be_printed(capsys):
    hyperparameters(("momentum", "beta2"))
    printed = capsys.readouterr().out
    assert re.findall(r"^name +(\w+) *$", printed, re.MULTILINE) == ["momentum", "beta2"]


def test_an_unknown_hyperparameter_is_refused_with_the_nearest_name():
    with pytest.raises(ValueError, match=r"the catalogue has no momentun: momentum\?"):
        hyperparameters(("momentun",))
