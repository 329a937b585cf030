"""The presets: configurations that are kept, and nothing more."""

import pytest

from trainables.image.config import ImageConfig
from trainables.image.options import PRESETS, config_of


@pytest.mark.parametrize("preset", PRESETS)
def test_what_a_space_fixes_of_a_preset_is_the_whole_of_it(preset):
    assert ImageConfig.from_dict(config_of(preset)) == PRESETS[preset]


@pytest.mark.parametrize("preset", PRESETS)
def test_it_says_what_differs_from_the_defaults_and_what_depends_on_others(preset):
    default, told = ImageConfig(), config_of(preset)
    dependent = {"model", "norm", "learning_rate"}
    assert dependent <= set(told)
    assert all(told[name] != getattr(default, name) for name in set(told) - dependent)
    assert "seed" not in told
