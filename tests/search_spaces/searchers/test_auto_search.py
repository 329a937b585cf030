"""Choice of the searcher that learns: the one that is given, or one that suits the space."""

import pytest

from search_spaces import spaces
from search_spaces.searchers import auto_search
from search_spaces.searchers.auto_search import MOST_COLUMNS, LearningFlags, auto
from search_spaces.searchers.gp_search import GPSearch
from search_spaces.searchers.optuna_search import OptunaSearch
from search_spaces.searchers.tpe_search import TPESearch
from search_spaces.space import Space
from tests.search_spaces.conftest import EVERYTHING, parameter


def wide(columns):
    return Space(
        "wide", tuple(parameter(f"p{n}", default=0.5, low=0.0, high=1.0) for n in range(columns))
    )


def test_a_space_of_few_columns_gets_a_gaussian_process_with_the_reason():
    searcher = auto(EVERYTHING, seed=0)
    assert type(searcher) is GPSearch
    assert searcher.reason == "Gaussian process: the space has 10 columns, at most 100"
    assert type(auto(wide(MOST_COLUMNS), seed=0)) is GPSearch


def test_the_widest_space_here_gets_a_gaussian_process():
    assert type(auto(spaces.FULL_RECIPE, seed=0)) is GPSearch


def test_a_space_of_many_columns_gets_parzen_estimators():
    searcher = auto(wide(MOST_COLUMNS + 1), seed=0)
    assert type(searcher) is OptunaSearch
    assert searcher.reason.startswith("Optuna's TPE: the space has ")
    assert searcher.reason.endswith(" columns, a Gaussian process takes at most 100")


def test_without_optuna_a_space_of_many_columns_gets_the_tpe_of_hyperopt(monkeypatch):
    monkeypatch.setattr(auto_search, "find_spec", lambda name: None)
    searcher = auto(wide(MOST_COLUMNS + 1), seed=0)
    assert type(searcher) is TPESearch
    assert searcher.reason.endswith("at most 100; Optuna is not installed")


@pytest.mark.parametrize(
    ("name", "kind"), [("gp", GPSearch), ("optuna", OptunaSearch), ("tpe", TPESearch)]
)
def test_a_named_searcher_is_used_and_has_no_reason(name, kind):
    searcher = LearningFlags(searcher=name).search(
        wide(MOST_COLUMNS + 1), seed=7, start_points=[{"p0": 0.25}]
    )
    assert type(searcher) is kind
    assert searcher.seed == 7
    assert searcher.point(0)["p0"] == 0.25
    assert searcher.reason == ""


def test_the_chosen_searcher_has_the_seed_and_the_start_points():
    searcher = LearningFlags().search(EVERYTHING, seed=7, start_points=iter([{"rate": 0.5}]))
    assert searcher.seed == 7
    assert searcher.point(0)["rate"] == 0.5


@pytest.mark.parametrize("name", ["gp", "optuna", "tpe"])
def test_the_searcher_flag_is_read_from_the_description_of_a_study(name):
    searcher = LearningFlags(searcher=name).search(EVERYTHING, seed=0)
    about = {"strategy": {**searcher.describe(), "scheduler": "asha"}}
    assert LearningFlags.of_study(about) == {"searcher": name}


def test_a_study_with_another_searcher_gives_no_searcher_flag():
    assert LearningFlags.of_study({"strategy": {"searcher": "RandomSearch"}}) == {}
    assert LearningFlags.of_study({"strategy": {}}) == {}
