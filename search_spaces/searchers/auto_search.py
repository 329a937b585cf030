"""Choice of the searcher that learns: the one that the user names, or one that suits the space.

A Gaussian process was better than Parzen estimators in every comparison, on ranges, on ordered
lists and on categories alone (`benchmarks/tabular.py`). It has a parameter for each column, fitted
to few trials, so that spaces with very many columns get Parzen estimators. The widest space here,
the full recipe, has 75 columns: a proposal after 1,000 trials takes half of Optuna's time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal, TypeAlias

from search_spaces.searchers.encoding import Encoding
from search_spaces.searchers.gp_search import GPSearch
from search_spaces.searchers.learning import LearningSearch
from search_spaces.searchers.optuna_search import OptunaSearch
from search_spaces.searchers.tpe_search import TPESearch
from search_spaces.space import Space

Name: TypeAlias = Literal["gp", "optuna", "tpe"]

SEARCHERS: dict[Name, type[GPSearch | OptunaSearch | TPESearch]] = {
    "gp": GPSearch,
    "optuna": OptunaSearch,
    "tpe": TPESearch,
}

WORDS: dict[Name, str] = {
    "gp": "Gaussian process",
    "optuna": "Optuna's TPE",
    "tpe": "HyperOpt's TPE",
}
"""Names for the user."""

MOST_COLUMNS = 100
"""Largest number of columns of a space for a Gaussian process."""


@dataclass(frozen=True, kw_only=True)
class LearningFlags:
    """Command-line flags of a job whose searcher learns from trials."""

    searcher: Literal["auto", Name] = "auto"
    """Model that proposes configurations: a Gaussian process (gp), Optuna's TPE (optuna),
    HyperOpt's TPE (tpe), or the one that suits the space (auto)."""

    def search(
        self, space: Space, *, seed: int, start_points: Iterable[Mapping[str, object]] = ()
    ) -> LearningSearch:
        """Return the searcher with these flags.

        Raises:
            ValueError: its library is not installed, or a start point is not in the space.
        """
        if self.searcher == "auto":
            return auto(space, seed=seed, start_points=start_points)
        return SEARCHERS[self.searcher](space, seed=seed, start_points=tuple(start_points))

    @classmethod
    def of_study(cls, about: Mapping[str, Any]) -> dict[str, Any]:
        """Return the flags of a started study, from its `study.json`: the searcher that it has,
        since another version may choose another one."""
        named = {kind.__name__: name for name, kind in SEARCHERS.items()}
        name = named.get(about["strategy"].get("searcher"))
        return {} if name is None else {"searcher": name}


def auto(
    space: Space, *, seed: int, start_points: Iterable[Mapping[str, object]] = ()
) -> LearningSearch:
    """Return the searcher that suits a space, with the reason for the choice.

    Args:
        space: space to search.
        seed: seed of all points.
        start_points: configurations to try first, complete or partial; missing values are the
            defaults.

    Raises:
        ValueError: a start point is not in the space, or neither Optuna nor HyperOpt is installed
            although one of them is needed.
    """
    name, reason = chosen(space)
    return SEARCHERS[name](
        space,
        seed=seed,
        start_points=tuple(start_points),
        reason=f"{WORDS[name]}: {reason}",
    )


def chosen(space: Space) -> tuple[Name, str]:
    """Return the name of the searcher that suits a space, and the reason in words."""
    columns = Encoding(space).columns
    if columns <= MOST_COLUMNS:
        return "gp", f"the space has {columns} columns, at most {MOST_COLUMNS}"
    reason = f"the space has {columns} columns, a Gaussian process takes at most {MOST_COLUMNS}"
    if find_spec("optuna") is None:
        return "tpe", f"{reason}; Optuna is not installed"
    return "optuna", reason
