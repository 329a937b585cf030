"""The catalogue and the trainable's config are two sides of one thing."""

from dataclasses import fields

import pytest

from search_spaces.catalogue import CATALOGUE
from trainables.config import Config

DEFAULTS = {field.name: field.default for field in fields(Config)}


@pytest.mark.parametrize("parameter", CATALOGUE, ids=lambda p: p.name)
def test_names_and_defaults_are_those_of_the_config(parameter):
    assert parameter.name in DEFAULTS
    assert parameter.default == DEFAULTS[parameter.name]


@pytest.mark.parametrize("parameter", CATALOGUE, ids=lambda p: p.name)
def test_the_config_takes_every_value_of_the_catalogue(parameter):
    for u in (0.0, 0.25, 0.5, 0.75, 1 - 2**-53):
        Config.from_dict({parameter.name: parameter.at(u)})
