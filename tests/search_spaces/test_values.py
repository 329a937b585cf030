"""Values of hyperparameters: restored as given, whatever JSON does to them, or refused by name."""

import json
from datetime import datetime
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn

from search_spaces.schedulers.pbt import PBT
from search_spaces.searchers.grid_search import GridSearch
from search_spaces.searchers.optuna_search import OptunaSearch
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.searchers.sobol_search import SobolSearch
from search_spaces.searchers.tpe_search import TPESearch
from search_spaces.space import Space
from search_spaces.trial_events import Ended, Result, Suggested
from search_spaces.values import key_of
from tests.journals import read_events
from tests.search_spaces.conftest import parameter, study_of
from tune_cluster.study.journal import Journal

single = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
)
# Of one length or another, and in each other: as the widths of a network's layers are.
values = st.recursive(
    single,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.lists(inner, max_size=3).map(tuple), st.tuples(inner)
    ),
    max_leaves=6,
)
lists_of_values = st.lists(values, min_size=2, max_size=5, unique_by=key_of).map(tuple)


def exact(value):
    """A value with the types of all that is in it: `1 == True == 1.0`, and `(1,) != [1]`."""
    within = [exact(one) for one in value] if isinstance(value, (tuple, list)) else repr(value)
    return type(value), within


def searched(given, **rest):
    return Space("own", (parameter("v", default=given[0], values=given, **rest),))


@given(given=lists_of_values, ordered=st.booleans())
@settings(max_examples=50)
def test_every_searcher_gives_the_exact_values_also_when_read_from_a_journal(
    tmp_path_factory, given, ordered
):
    space = searched(given, ordered=ordered)
    known = [exact(value) for value in given]
    folder = tmp_path_factory.mktemp("journal")
    searchers = [
        GridSearch(space),
        RandomSearch(space, seed=0),
        SobolSearch(space, seed=0),
        TPESearch(space, seed=0, startup=1),
        OptunaSearch(space, seed=0, startup=1),
    ]
    for number, searcher in enumerate(searchers):
        study_of(searcher).check()
        journal = Journal(folder / str(number))
        suggested = []
        for trial in range(len(given)):
            suggested.append(searcher.point(trial))
            first = Suggested(trial=trial, config=suggested[-1])
            journal.append(first)
            for event in (
                first,
                Result(trial=trial, epoch=1, metrics={"score": float(trial)}),
                Ended(trial=trial, epoch=1, status="finished"),
            ):
                searcher.on_event(event, replay=False)
        journal.close()
        assert all(exact(config["v"]) in known for config in suggested)
        again = [space.restored(event["config"]) for event in read_events(journal.path)]
        assert [exact(config["v"]) for config in again] == [exact(c["v"]) for c in suggested]
        assert [space.unit(config) for config in again] == [space.unit(c) for c in suggested]
    assert sorted(map(repr, (searchers[0].point(at)["v"] for at in range(len(given))))) == sorted(
        map(repr, given)
    )


@given(given=lists_of_values)
@settings(max_examples=50)
def test_fixed_values_and_conditions_on_a_value_survive_the_journal(given):
    first, *others = given
    space = Space(
        "own",
        (
            *searched(given).parameters,
            parameter("under", default=0.1, low=0, high=1, condition=("v", (first,))),
            parameter("else", default=0.1, low=0, high=1, condition=("v", tuple(others))),
        ),
        fixed=(("constant", first),),
    )
    for at, value in enumerate(given):
        config = space.point([(at + 0.5) / len(given), 0.0, 0.0])
        assert ("under" in config, "else" in config) == (at == 0, at > 0)
        assert type(config["under" if at == 0 else "else"]) is float
        again = space.restored(json.loads(json.dumps(config)))
        assert exact(again["v"]) == exact(value)
        assert exact(again["constant"]) == exact(first)
        assert exact(space.fix(v=json.loads(json.dumps(value))).point([0.0] * 1)["v"]) == exact(
            value
        )


@given(low=st.floats(allow_nan=False), high=st.floats(allow_nan=False), u=st.floats(0, 1 - 2**-53))
def test_a_range_of_any_width_gives_values_of_its_own_or_is_refused(low, high, u):
    try:
        ranged = parameter("v", default=low, low=low, high=high, scale="linear")
    except ValueError:
        assume(not low < high or high - low == np.inf)
        return
    value = ranged.at(u)
    assert low <= value <= high
    assert exact(ranged.restored(json.loads(json.dumps(value)))) == exact(value)


def test_values_of_numpy_become_python_values():
    arange = parameter("v", default=np.int64(16), values=np.arange(16, 65, 16), grid=np.arange(0))
    assert exact(arange.values) == exact((16, 32, 48, 64))
    given = (np.float32(0.5), np.int8(3), np.bool_(True), np.str_("a"), (np.int64(1), [np.int8(2)]))
    assert exact(parameter("v", default=0.5, values=given).values) == exact(
        (0.5, 3, True, "a", (1, [2]))
    )
    grid = parameter("v", default=1, low=np.float32(0), high=np.int64(4), grid=np.linspace(0, 4, 3))
    assert exact((grid.low, grid.high, grid.grid)) == exact((0.0, 4.0, (0.0, 2.0, 4.0)))
    assert exact(parameter("v", default=[1], values=np.ones((2, 1))[:1]).values) == exact(([1.0],))


class Colour(Enum):
    RED = "red"


class Number(IntEnum):
    ONE = 1


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (nn.ReLU, "a class"),
        (len, "a function"),
        (lambda x: x, "a function"),
        (nn.ReLU(), "ReLU"),
        (torch.float16, "torch.dtype"),
        (torch.ones(2), "Tensor"),
        (np.ones(2), "ndarray"),
        (float("inf"), "inf is not finite"),
        (float("nan"), "nan is not finite"),
        (np.float64("-inf"), "-inf is not finite"),
        ((1, (2, float("nan"))), "nan is not finite"),
        ({"lr": 1}, "a dict"),
        ({1}, "a set"),
        (b"raw", "a bytes"),
        (Path("x"), "Path"),
        (Colour.RED, "an enum"),
        (Number.ONE, "an enum"),
        (1j, "a complex"),
        (Decimal("0.1"), "Decimal"),
        (datetime(2026, 1, 1), "datetime"),
        (np.datetime64("2026"), "date"),
        (np.timedelta64(1), "timedelta"),
        (range(3), "a range"),
        (torch.Size([1]), "Size"),
        (2**64, "more than 64 bits"),
        (10**5000, "more than 64 bits"),
        ("\ud800", "UTF-8"),
    ],
    ids=lambda given: type(given).__name__,
)
def test_a_value_that_a_resume_cannot_restore_is_refused_with_name_and_value(value, said):
    for tried in ((1, value), ((2, [value]), 1)):
        with pytest.raises(ValueError, match=said) as refused:
            parameter("activation", default=1, values=tried)
        assert str(refused.value).startswith("activation: values ")
        assert "\n" not in str(refused.value)
        assert len(str(refused.value)) < 300
    with pytest.raises(ValueError, match=f"v: fixed value .*{said}"):
        Space("own", (), fixed=(("v", value),))


def test_a_list_in_itself_is_refused():
    endless = []
    endless.append(endless)
    with pytest.raises(ValueError, match=r"v: values .* nested deeper"):
        parameter("v", default=1, values=(1, endless))


@pytest.mark.parametrize("given", [{1, 2}, {"a": 1}, "sgd", 5, iter([1]), nn.ReLU])
def test_values_without_an_order_of_their_own_are_refused(given):
    with pytest.raises(ValueError, match="v: values: give a tuple, got"):
        parameter("v", default=1, values=given)


@pytest.mark.parametrize("twice", [(1, 2, 1), ((1, 2), [1, 2]), (np.int64(1), 1), (None, None)])
def test_two_values_that_json_cannot_tell_apart_are_refused(twice):
    with pytest.raises(ValueError, match=r"v: values: .* is given twice"):
        parameter("v", default=1, values=twice)


def test_a_population_perturbs_the_exact_values():
    space = searched((None, (1, (2,)), [3], True), ordered=True)
    pbt = PBT(space, perturbed=["v"], max_epochs=9, interval=3, seed=0)
    config = {"v": None}
    drawn = set()
    for _ in range(50):
        config = pbt._explored(config)
        drawn.add(repr(config["v"]))
    assert drawn == {"None", "(1, (2,))", "[3]", "True"}
