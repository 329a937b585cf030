"""What every searcher of a study is: configuration 0, 1, 2, … of a space."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from search_spaces.objective import Origin, StudySpec
from search_spaces.space import Space, checked_space
from search_spaces.trial_events import Event
from search_spaces.values import Value


class StudySearcher:
    """Suggests `point(i)` as the configuration of trial i.

    A point depends on the seed, on i, and, where a searcher learns, on the events that it was told
    until then; on nothing else. So a study is taken up again by telling: no state is ever stored.

    Args:
        space: where to look.

    Raises:
        ValueError: it is no `Space`.
    """

    not_resumable: ClassVar[str] = ""
    """Why a study with this searcher can be neither resumed nor extended; empty where it can."""
    learns: ClassVar[bool] = False
    """Whether points depend on what trials have reported."""
    uses_test_set: ClassVar[bool] = True
    """Whether the study's best trial is what a person takes, so that the test set is used on it."""
    origins: Mapping[int, Origin] = {}
    """By index, the trial of another study that a trial continues."""

    def __init__(self, space: Space) -> None:
        self.space = checked_space(space, type(self).__name__)

    @property
    def size(self) -> int | None:
        """The points that there are; None without an end."""
        return None

    @property
    def learned(self) -> str:
        """What it has taken over from an earlier study, for a person; empty if nothing was told."""
        return ""

    def check(self, spec: StudySpec) -> None:
        """Take in the study before it begins.

        Raises:
            ValueError: it cannot be searched by this searcher.
        """

    @abstractmethod
    def point(self, index: int) -> dict[str, Value] | None:
        """Configuration number `index`, from 0; None where there is none yet, or none any more."""

    def on_event(self, event: Event, replay: bool) -> None:
        """Take in any event of the study; `replay` if an earlier session has had it."""

    def describe(self) -> dict[str, object]:
        """The searcher as plain JSON, for `study.json`."""
        return {"searcher": type(self).__name__}
