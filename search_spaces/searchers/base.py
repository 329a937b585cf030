"""What every searcher of a study is: configuration 0, 1, 2, … of a space."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import ClassVar

from search_spaces.objective import Origin, StudySpec
from search_spaces.searchers.earlier_points import EarlierPoints
from search_spaces.space import Space, checked_space
from search_spaces.trial_events import Event, StartPoint
from search_spaces.values import Value


class StudySearcher:
    """Suggests `point(i)` as the configuration of trial i, by the seed, i and, where it learns, the
    events until then: a study is resumed by telling them again, and no state is stored.

    Args:
        space: where to look.
        start_points: what the first trials have, whole or in part; what is missing has its default.

    Raises:
        ValueError: what it is given is no `Space`, or a start point is not in it.
    """

    not_resumable: ClassVar[str] = ""
    """Why a study with this searcher can be neither resumed nor extended; empty where it can."""
    learns: ClassVar[bool] = False
    """Whether points depend on what trials have reported."""
    ranks_alone: ClassVar[bool] = False
    """Whether its model knows of trials only how a rung ranks them, and is led astray by one that
    ranks them wrong."""
    uses_test_set: ClassVar[bool] = True
    """Whether the study's best trial is measured on the test set."""
    reason: str = ""
    """Why it was chosen, for a person; empty where a person has named it."""
    origins: Mapping[int, Origin] = {}
    """By index, the trial of another study that a trial continues."""

    def __init__(self, space: Space, *, start_points: Iterable[Mapping[str, object]] = ()) -> None:
        self.space = checked_space(space, type(self).__name__)
        self.start_points: list[dict[str, Value]] = []
        """Whole configurations, those of the first trials, without those of earlier studies."""
        for point in start_points:
            config = space.complete(point)
            if config not in self.start_points:
                self.start_points.append(config)
        self.earlier_points = EarlierPoints(len(self.start_points))

    @property
    def size(self) -> int | None:
        """The points that there are; None without an end."""
        return None

    @property
    def learned(self) -> str:
        """What it has learned of earlier studies, for a person; empty if it was told of none."""
        return ""

    def check(self, spec: StudySpec) -> None:
        """Take in the study before it begins, and forget what another one has told; a ValueError
        says why it cannot be searched."""
        self.earlier_points = EarlierPoints(len(self.start_points), spec.objective)

    def point(self, index: int) -> dict[str, Value] | None:
        """Configuration number `index`, from 0: the start points, those of earlier studies as long
        as they are good, then what the searcher suggests; None if there is none yet, or none any
        more."""
        if index < len(self.start_points):
            return dict(self.start_points[index])
        earlier = self.earlier_points.at(index)
        return self.suggest(index) if earlier is None else dict(earlier)

    @abstractmethod
    def suggest(self, index: int) -> dict[str, Value] | None:
        """Configuration number `index`, which comes after the start points; None if there is none
        yet, or none any more."""

    def on_event(self, event: Event, replay: bool) -> None:
        """Take in any event of the study; `replay` if an earlier session has had it."""
        if isinstance(event, StartPoint):
            config = self.space.complete(event.config)
            if config not in self.start_points:
                self.earlier_points.add(config)
        else:
            self.earlier_points.on_event(event)

    def take_events(self) -> list[Event]:
        """Return, once, what was decided since the last call; after a replay, what the journal
        lacks."""
        return self.earlier_points.take_events()

    def describe(self) -> dict[str, object]:
        """The searcher as plain JSON, for `study.json`."""
        return {"searcher": type(self).__name__}
