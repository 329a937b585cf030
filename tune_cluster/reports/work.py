"""What ran where: the work of each trial on each node, without waiting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from search_spaces.trial_events import Ended, Exploited, Promoted, Result, TrialEvent
from tune_cluster.study.events import Retried, Started
from tune_cluster.study.stored import StoredStudy

UNKNOWN = "unknown"


class Work(NamedTuple):
    """A trial at work, in seconds since the study began."""

    trial: int
    begin: float
    end: float


@dataclass(frozen=True, kw_only=True)
class NodeWork:
    """The work of a node."""

    node: str
    trials: int
    epochs: int
    """Epochs, lost ones included."""
    hours: float
    """Hours of all its trials together."""
    money: float | None
    """Price of its GPUs; None without one."""


def work_of(study: StoredStudy) -> dict[str, list[Work]]:
    """Return the work on each node, in order; that of a trial which fails before its first result
    is on the node where it was last, or on an unknown one."""
    first = next((event.time for event in study.events if event.time is not None), None)
    since: dict[int, float] = {}
    node_of: dict[int, str] = {}
    # Place of the last work of each trial on a node: other trials report between its results.
    latest: dict[tuple[str, int], int] = {}
    found: dict[str, list[Work]] = {}
    for event in study.events:
        if first is None or event.time is None or not isinstance(event, TrialEvent):
            continue
        now, trial = event.time - first, event.trial
        if isinstance(event, Result):
            node_of[trial] = event.node or UNKNOWN
        if isinstance(event, (Started, Promoted, Exploited)):
            since[trial] = now
        elif isinstance(event, (Result, Retried)) or (isinstance(event, Ended) and event.failed):
            node = node_of.get(trial, UNKNOWN)
            lane = found.setdefault(node, [])
            begin, at = since.get(trial, now), latest.get((node, trial))
            since[trial] = now
            if at is not None and lane[at].end >= begin - 1e-9:
                lane[at] = lane[at]._replace(end=now)
            else:
                latest[node, trial] = len(lane)
                lane.append(Work(trial, begin, now))
    return found


def nodes_of(study: StoredStudy, work: Mapping[str, Sequence[Work]]) -> list[NodeWork]:
    """Return what each node has done, and what it has cost."""
    flags = study.about["flags"]
    price, gpus = flags.get("price_per_gpu_hour"), float(flags.get("gpus_per_trial") or 0.0)
    epochs: dict[str, int] = {}
    for event in study.events:
        if isinstance(event, Result):
            node = event.node or UNKNOWN
            epochs[node] = epochs.get(node, 0) + 1
    found = []
    for node, lane in work.items():
        hours = sum(one.end - one.begin for one in lane) / 3600
        found.append(
            NodeWork(
                node=node,
                trials=len({one.trial for one in lane}),
                epochs=epochs.get(node, 0),
                hours=hours,
                money=price * gpus * hours if price and gpus else None,
            )
        )
    return found
