"""The catalogue of tables, and their space, are those of the table's config."""

from dataclasses import asdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces.catalogue import CATALOGUE, OF_TABLES
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.table_spaces import TABLE
from tests.search_spaces.test_catalogue import NOT_TUNED, names_in
from tests.search_spaces.test_catalogue import given as needed
from tests.trainables.table.made_up import mixed
from trainables.table.config import TableConfig
from trainables.table.task import TableData
from trainables.training.loop import trainers

DEFAULTS = asdict(TableConfig())


def test_every_field_of_the_config_is_in_the_catalogue():
    names = {parameter.name for parameter in (*CATALOGUE, *OF_TABLES)}
    assert set(DEFAULTS) - NOT_TUNED <= names
    assert {parameter.name for parameter in OF_TABLES} <= set(DEFAULTS)


@pytest.mark.parametrize("parameter", OF_TABLES, ids=lambda p: p.branch)
def test_defaults_and_values_are_accepted_by_the_config(parameter):
    assert parameter.default == asdict(TableConfig(**needed(parameter)))[parameter.name]
    ends = [parameter.at(u) for u in (0.0, 0.25, 0.5, 0.75, 1 - 2**-53)]
    for value in parameter.values or (*ends, *parameter.grid):
        TableConfig.from_dict({**needed(parameter), parameter.name: value})
    fields = TableConfig.__annotations__
    choices = [v for v in names_in(fields.get(parameter.name, None)) if isinstance(v, str)]
    assert not choices or set(choices) == set(parameter.values)


@settings(max_examples=5)
@given(st.integers(0, 2**31 - 1))
def test_a_drawn_point_is_a_valid_config_and_trains_a_step(seed):
    searcher = RandomSearch(TABLE.fix(epochs=2), seed=seed)
    for index in range(4):
        config = TableConfig.from_dict(searcher.point(index))
        (trainer,) = trainers(config, TableData(mixed("classes")))
        loss, *_ = next(trainer.steps(1))
        assert loss.isfinite()
