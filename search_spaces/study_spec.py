"""What a searcher and a scheduler need to know of the study that they are part of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from search_spaces.objective import Objective

if TYPE_CHECKING:
    from search_spaces.schedulers.base import StudyScheduler
    from search_spaces.searchers.base import StudySearcher


@dataclass(frozen=True, kw_only=True)
class StudySpec:
    """A study as it is about to begin."""

    objective: Objective
    trials: int
    """That it shall have."""
    searcher: StudySearcher
    scheduler: StudyScheduler
    trainable: str = "the trainable"
    """Its name, for errors."""
    continues: bool
    """Whether the trainable goes on from its checkpoints."""

    def check(self) -> None:
        """Hold searcher and scheduler against the study and each other, and tell them of it.

        Raises:
            ValueError: they do not go together.
        """
        self.scheduler.check(self)
        self.searcher.check(self)
