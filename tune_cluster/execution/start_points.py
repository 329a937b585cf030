"""What the first trials of a study are by earlier studies of its trainable: `--learn-from`."""

from __future__ import annotations

import math
from dataclasses import dataclass

from search_spaces.objective import Objective
from search_spaces.searchers.base import StudySearcher
from search_spaces.searchers.earlier_points import FIRST
from search_spaces.trial_events import StartPoint
from tune_cluster.study.earlier import earlier_studies

MOST, MOST_SHARE = 8, 0.25
"""Trials that begin with what was best in earlier studies: so many, and of a small study such a
share, so that studies of other data cost little where they mislead."""


@dataclass(frozen=True)
class LearnedStartPoints:
    """What earlier studies give."""

    points: list[StartPoint]
    """The most promising first."""
    notes: list[str]
    """What a person is told of it."""


def learned_start_points(
    folder: str, searcher: StudySearcher, *, trainable: str, objective: Objective, trials: int
) -> LearnedStartPoints:
    """The start points of a study by those in `folder`.

    Args:
        folder: a path or `s3://bucket/folder`, with studies in it.
        searcher: of the new study.
        trainable: its name; studies of others tell nothing.
        objective: of the new study, which an earlier one must share.
        trials: of the new study.

    Raises:
        ValueError: the folder cannot be read, or the study searches nothing, or all there is.
    """
    if not searcher.space.parameters or searcher.size is not None:
        raise ValueError(
            f"--learn-from {folder}: the study tries the same {trials:,} points whatever was best "
            "before; leave the flag out"
        )
    # 0.4 s that a study without earlier ones is not to pay for.
    from search_spaces.searchers.portfolio import portfolio

    found = earlier_studies(folder, trainable, objective)
    most = min(MOST, math.ceil(trials * MOST_SHARE))
    points = portfolio(searcher.space, found.trials, objective, most)
    further = len(points) - FIRST
    more = f", {further} more if these are good here" if further > 0 else ""
    studies = ", ".join(dict.fromkeys(point.study for point in points))
    tried = (
        f"{min(FIRST, len(points))} of their configurations are tried first{more}, from {studies}"
        if points
        else "none has four trials in this space that can be compared"
    )
    return LearnedStartPoints(
        points,
        [
            f"earlier studies of {trainable}: {len(found.trials)} in {folder}; {tried}",
            *(f"not learned from: {why}" for why in found.unread),
        ],
    )
