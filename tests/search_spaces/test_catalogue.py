"""The catalogue and the trainable's config are two sides of one thing."""

from dataclasses import asdict

import pytest

from search_spaces.catalogue import CATALOGUE
from trainables.config import Config

DEFAULTS = asdict(Config())
NOT_TUNED = {"learning_rate_schedule"}
"""Found by PBT, and replayed."""


def given(parameter):
    """What the condition of a hyperparameter asks for."""
    if parameter.condition is None:
        return {}
    name, values = parameter.condition
    return {name: values[0]}


def test_every_field_of_the_config_is_in_the_catalogue():
    assert {parameter.name for parameter in CATALOGUE} == set(DEFAULTS) - NOT_TUNED


@pytest.mark.parametrize("parameter", CATALOGUE, ids=lambda p: p.branch)
def test_defaults_are_those_of_the_config(parameter):
    assert parameter.default == asdict(Config(**given(parameter)))[parameter.name]


@pytest.mark.parametrize("parameter", CATALOGUE, ids=lambda p: p.branch)
def test_the_config_takes_every_value_of_the_catalogue(parameter):
    for u in (0.0, 0.25, 0.5, 0.75, 1 - 2**-53):
        more = {"pretrained": "weights.pt"} if parameter.name == "freeze_epochs" else {}
        Config.from_dict({**given(parameter), **more, parameter.name: parameter.at(u)})
