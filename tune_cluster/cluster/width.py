"""How many trials run at once, while nodes join and leave."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import ray

from tune_cluster.cluster.connect import Cluster
from tune_cluster.cluster.growth import Resources
from tune_cluster.study.journal import Event

EVERY = 2.0
"""Seconds between two looks at the cluster: a node takes longer to join."""


def nodes_up() -> dict[str, Resources]:
    """What each node has that is up, by its id."""
    return {node["NodeID"]: dict(node["Resources"]) for node in ray.nodes() if node["Alive"]}


class Width:
    """As many trials as fit on the nodes that are up at the moment it is called.

    Args:
        cluster: as the study found it.
        cpus, gpus: of a trial.
        look: at the nodes.
        clock: seconds.
    """

    def __init__(
        self,
        cluster: Cluster,
        cpus: float,
        gpus: float,
        *,
        look: Callable[[], Mapping[str, Resources]] = nodes_up,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cluster, self._cpus, self._gpus = cluster, cpus, gpus
        self._look, self._clock = look, clock
        self._slots = cluster.slots(cpus, gpus)
        self._next = clock() + EVERY
        self.note: Callable[[Event, str], None] = lambda event, line: None
        """Told a change, for the journal and for a person."""

    def __call__(self) -> int:
        """The number at this moment, at least 1: a study waits for nodes that it has lost."""
        if self._clock() >= self._next:
            self._next = self._clock() + EVERY
            before, self._slots = self._slots, self._count()
            if before != self._slots:
                self.note(
                    {"event": "width", "trials": self._slots},
                    f"width      {self._slots} trials at once, {before} before: nodes have come or "
                    "gone",
                )
        return self._slots

    def _count(self) -> int:
        cluster = replace(self._cluster, nodes=tuple(self._look().values()))
        try:
            return cluster.slots(self._cpus, self._gpus)
        except ValueError:
            return 1
