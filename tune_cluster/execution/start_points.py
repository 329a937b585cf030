"""Start points of a study from earlier studies of its trainable: `--learn-from`."""

from __future__ import annotations

import math
from dataclasses import dataclass

from search_spaces.objective import Objective
from search_spaces.searchers.base import StudySearcher
from search_spaces.searchers.earlier_points import FIRST
from search_spaces.trial_events import StartPoint

MOST, MOST_SHARE = 8, 0.25
"""Largest number of start points from earlier studies, and largest share of a small study's trials,
so that misleading studies of other data cost little."""


@dataclass(frozen=True)
class LearnedStartPoints:
    """Start points from earlier studies."""

    points: list[StartPoint]
    """Start points, the most promising first."""
    notes: list[str]
    """Notes for the user."""


def learned_start_points(
    folder: str, searcher: StudySearcher, *, trainable: str, objective: Objective, trials: int
) -> LearnedStartPoints:
    """Return the start points of a study from the studies in `folder`.

    Args:
        folder: a path or `s3://bucket/folder`, with studies in it.
        searcher: searcher of the new study.
        trainable: name of its trainable; studies of others are ignored.
        objective: objective of the new study, which an earlier one must share.
        trials: number of trials of the new study.

    Raises:
        ValueError: the folder cannot be read, or the study searches nothing, or tries all points.
    """
    if not searcher.space.parameters or searcher.size is not None:
        raise ValueError(
            f"--learn-from {folder}: the study tries the same {trials:,} points whatever was best "
            "before; leave the flag out"
        )
    # The imports take 0.4 s, so not for a study without earlier ones.
    from search_spaces.searchers.portfolio import portfolio
    from tune_cluster.reports.earlier_studies import earlier_studies

    found = earlier_studies(folder, trainable, objective)
    most = min(MOST, math.ceil(trials * MOST_SHARE))
    points = portfolio(searcher.space, found.trials, objective, most, found.confirmed)
    confirmations = {one.study for one in found.confirmed.values()}
    confirmed = sum(point.study in confirmations for point in points)
    further = len(points) - FIRST
    more = f", {further} more if these are good here" if further > 0 else ""
    studies = ", ".join(dict.fromkeys(point.study for point in points))
    tried = (
        f"{min(FIRST, len(points))} of their configurations are tried first{more}"
        f"{f' ({confirmed} confirmed)' if confirmed else ''}, from {studies}"
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
