"""Which searcher learns: the one that a person names, or the one that suits the space.

A Gaussian process was ahead of Parzen estimators wherever they were compared, on ranges, on ordered
lists and on categories alone (`benchmarks/tabular.py`). It has a parameter for each column, found
from few trials, so that spaces of very many get Parzen estimators. The widest space here, the full
recipe, has 75 columns: there a proposal after 1,000 trials takes it half of Optuna's time.
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
"""For a person."""

MOST_COLUMNS = 100
"""Of a space, for a Gaussian process."""


@dataclass(frozen=True, kw_only=True)
class LearningFlags:
    """The flags of a job whose searcher learns from trials."""

    searcher: Literal["auto", Name] = "auto"
    """What proposes: a Gaussian process (gp), Optuna's TPE (optuna), HyperOpt's TPE (tpe), or what
    suits the space (auto)."""

    def search(
        self, space: Space, *, seed: int, start_points: Iterable[Mapping[str, object]] = ()
    ) -> LearningSearch:
        """The searcher that they describe.

        Raises:
            ValueError: what it needs is not installed, or a start point is not in the space.
        """
        if self.searcher == "auto":
            return auto(space, seed=seed, start_points=start_points)
        return SEARCHERS[self.searcher](space, seed=seed, start_points=tuple(start_points))

    @classmethod
    def of_study(cls, about: Mapping[str, Any]) -> dict[str, Any]:
        """What a study was started with, by its `study.json`: the searcher that it has, whatever
        chose it, since another version may choose another one."""
        named = {kind.__name__: name for name, kind in SEARCHERS.items()}
        name = named.get(about["strategy"].get("searcher"))
        return {} if name is None else {"searcher": name}


def auto(
    space: Space, *, seed: int, start_points: Iterable[Mapping[str, object]] = ()
) -> LearningSearch:
    """The searcher that suits a space, which knows the reason for it.

    Args:
        space: where to look.
        seed: of all points.
        start_points: what to try first, whole or in part; what is missing has its default.

    Raises:
        ValueError: a start point is not in the space, or neither Optuna nor HyperOpt is installed
            where one of them suits it.
    """
    name, reason = chosen(space)
    return SEARCHERS[name](
        space,
        seed=seed,
        start_points=tuple(start_points),
        reason=f"{WORDS[name]}: {reason}",
    )


def chosen(space: Space) -> tuple[Name, str]:
    """Which one suits a space, and why, in words."""
    columns = Encoding(space).columns
    if columns <= MOST_COLUMNS:
        return "gp", f"the space has {columns} columns, at most {MOST_COLUMNS}"
    reason = f"the space has {columns} columns, a Gaussian process takes at most {MOST_COLUMNS}"
    if find_spec("optuna") is None:
        return "tpe", f"{reason}; Optuna is not installed"
    return "optuna", reason
