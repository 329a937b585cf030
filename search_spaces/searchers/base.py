"""The interface of every searcher of a study: configuration 0, 1, 2, … of a space."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

from search_spaces.objective import EarlierCost, Origin, StudySpec
from search_spaces.searchers.earlier_points import EarlierPoints
from search_spaces.space import Space, checked_space
from search_spaces.trial_events import Event, StartPoint
from search_spaces.values import Value


class StudySearcher:
    """Suggests `point(i)` as the configuration of trial i.

    The point depends on the seed, i and, if the searcher learns, the events so far: a resumed study
    replays them, so no state is stored.

    Args:
        space: space to search.
        start_points: configurations of the first trials, complete or partial; missing values are
            the defaults.

    Raises:
        ValueError: `space` is no `Space`, or a start point is not in it.
    """

    not_resumable: ClassVar[str] = ""
    """Reason why a study with this searcher can be neither resumed nor extended; empty if it
    can."""
    learns: ClassVar[bool] = False
    """Whether points depend on reported results."""
    ranks_alone: ClassVar[bool] = False
    """Whether its model uses only the ranks of trials at a rung, so that a rung with wrong ranks
    misleads it."""
    follows_study: ClassVar[bool] = False
    """Whether its trials continue or repeat those of another study: the best one is not evaluated
    on the test set, and the command of the study does not repeat it."""
    reason: str = ""
    """Reason for its choice, for the user; empty if the user has named the searcher."""
    origins: Mapping[int, Origin] = {}
    """Trials of another study to continue, by index of the trial in this one."""
    costs: Sequence[EarlierCost] = ()
    """Costs of its configurations in another study; empty if that is not known."""
    ended: str = ""
    """Reason why no configuration is left, however many trials were asked for; empty while one may
    come."""

    def __init__(self, space: Space, *, start_points: Iterable[Mapping[str, object]] = ()) -> None:
        self.space = checked_space(space, type(self).__name__)
        self.start_points: list[dict[str, Value]] = []
        """Complete configurations of the first trials, without those of earlier studies."""
        for point in start_points:
            config = space.complete(point)
            if config not in self.start_points:
                self.start_points.append(config)
        self.earlier_points = EarlierPoints(len(self.start_points))

    @property
    def size(self) -> int | None:
        """Number of points; None if unlimited."""
        return None

    @property
    def upcoming(self) -> int:
        """Largest number of configurations that it will have once the running trials have ended,
        and has not yet; 0 if it always has one."""
        return 0

    @property
    def learned(self) -> str:
        """Summary of what it has learned from earlier studies, for the user; empty without any."""
        return ""

    def check(self, spec: StudySpec) -> None:
        """Prepare for a study, and forget the events of a previous one.

        Raises:
            ValueError: the study cannot be searched with this searcher.
        """
        self.earlier_points = EarlierPoints(len(self.start_points), spec.objective)

    def point(self, index: int) -> dict[str, Value] | None:
        """Return configuration number `index`, from 0.

        The start points come first, then those of earlier studies as long as they are good, then
        suggestions. Returns None if there is no configuration yet, or none is left.
        """
        if index < len(self.start_points):
            return dict(self.start_points[index])
        earlier = self.earlier_points.at(index)
        return self.suggest(index) if earlier is None else dict(earlier)

    def seed_of(self, index: int) -> int | None:
        """Return the seed of trial `index`; None for the one that its index gives it."""
        return None

    @abstractmethod
    def suggest(self, index: int) -> dict[str, Value] | None:
        """Return configuration number `index`, which comes after the start points; None if there is
        none yet, or none is left."""

    def on_event(self, event: Event, replay: bool) -> None:
        """Take in an event of the study; `replay` if it is of an earlier session."""
        if isinstance(event, StartPoint):
            config = self.space.complete(event.config)
            if config not in self.start_points:
                self.earlier_points.add(config)
        else:
            self.earlier_points.on_event(event)

    def take_events(self) -> list[Event]:
        """Return the decisions since the last call; after a replay, those that are missing in the
        journal."""
        return self.earlier_points.take_events()

    def describe(self) -> dict[str, object]:
        """Return the searcher as plain JSON, for `study.json`."""
        return {"searcher": type(self).__name__}
