"""A conditional space with everything that a hyperparameter can be, and studies of it."""

import pytest

from search_spaces import spaces
from search_spaces.hyperparameter import Hyperparameter
from search_spaces.objective import Objective, StudySpec
from search_spaces.schedulers.base import StudyScheduler
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.space import Space

SPACES = [space for space in vars(spaces).values() if isinstance(space, Space)]


def parameter(name, **rest):
    return Hyperparameter(
        name=name, meaning="", kind="optimization", role="scientific", advice="", **rest
    )


EVERYTHING = Space(
    "everything",
    (
        parameter("rate", default=0.01, low=1e-4, high=1.0, scale="log", grid=(1e-3, 1e-1)),
        parameter("layers", default=2, low=1, high=6, integer=True, grid=(1, 3, 6)),
        parameter("units", default=64, low=8, high=512, scale="log", integer=True, grid=(8, 64)),
        parameter("batch", default=64, values=(32, 64, 128), ordered=True),
        parameter("sizes", default=(8,), values=((8,), (8, 8))),
        parameter("optimizer", default="sgd", values=("sgd", "adam", "rms")),
        # Two branches of one name, each with a range of its own.
        parameter(
            "momentum",
            default=0.9,
            low=0.5,
            high=0.99,
            grid=(0.5, 0.9),
            condition=("optimizer", ("sgd",)),
        ),
        parameter(
            "momentum",
            default=0.0,
            low=0.0,
            high=0.4,
            grid=(0.0, 0.2, 0.4),
            condition=("optimizer", ("rms",)),
        ),
    ),
    fixed=(("model", "mlp"),),
)


def study_of(searcher=None, scheduler=None, *, mode="max", trials=64, continues=True):
    """A study that is about to begin, whose metric is `score`."""
    return StudySpec(
        objective=Objective("score", mode),
        trials=trials,
        searcher=searcher or RandomSearch(EVERYTHING, seed=0),
        scheduler=scheduler or StudyScheduler(),
        continues=continues,
    )


@pytest.fixture
def everything():
    return EVERYTHING
