"""The catalogue of texts, and their space, are those of the text task's config."""

from dataclasses import asdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces.catalogue import CATALOGUE, OF_TEXTS
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.text_spaces import TEXT, TEXT_FINE_TUNING
from tests.search_spaces.test_catalogue import NOT_TUNED, names_in
from tests.search_spaces.test_catalogue import given as needed
from tests.trainables.text.made_up import made_up
from trainables.text.config import TextConfig
from trainables.text.task import TextData
from trainables.training.loop import trainers

DEFAULTS = asdict(TextConfig())
NEEDED = {"synonyms": "words.tsv", "paraphrases": "pairs.csv"}
"""Files without which a share of theirs has no meaning."""


def test_every_field_of_the_config_is_in_the_catalogue():
    names = {parameter.name for parameter in (*CATALOGUE, *OF_TEXTS)}
    assert set(DEFAULTS) - NOT_TUNED <= names
    assert {parameter.name for parameter in OF_TEXTS} <= set(DEFAULTS)


@pytest.mark.parametrize("parameter", OF_TEXTS, ids=lambda p: p.branch)
def test_defaults_and_values_are_accepted_by_the_config(parameter):
    assert parameter.default == asdict(TextConfig(**needed(parameter)))[parameter.name]
    ends = [parameter.at(u) for u in (0.0, 0.25, 0.5, 0.75, 1 - 2**-53)]
    for value in parameter.values or (*ends, *parameter.grid):
        TextConfig.from_dict({**needed(parameter), **NEEDED, parameter.name: value})
    fields = TextConfig.__annotations__
    choices = [v for v in names_in(fields.get(parameter.name, None)) if isinstance(v, str)]
    assert not choices or set(choices) == set(parameter.values)


@settings(max_examples=5)
@given(st.integers(0, 2**31 - 1))
def test_a_drawn_point_is_a_valid_config_and_trains_a_step(seed):
    for space in (TEXT, TEXT_FINE_TUNING):
        small = space.fix(epochs=2, embedding_size=16, hidden_size=16, freeze_epochs=0)
        searcher = RandomSearch(small, seed=seed)
        for index in range(4):
            config = TextConfig.from_dict(searcher.point(index))
            (trainer,) = trainers(config, TextData(made_up()))
            loss, *_ = next(trainer.steps(1))
            assert loss.isfinite()
