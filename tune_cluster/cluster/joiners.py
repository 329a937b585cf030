"""Nodes that join while a study runs, and are no good: no trial is left there.

Ray knows no study that a node is not for, and gives a trial to any node with room. So the room is
taken: by reservations of the size of a trial, which run nothing and end with the driver. A trial
that came there before them is started again elsewhere, without blame (`restart`).

The node is kept from idling by that, and an autoscaler from ending it. Where no other one is up
that trials fit on, the study has to end: those that wait would make an autoscaler start the next
node of the same kind, and so on to the last that it may.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ray
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group

from tune_cluster.cluster.admission import Admission
from tune_cluster.cluster.connect import fitting
from tune_cluster.cluster.growth import Resources
from tune_cluster.cluster.nodes import Inspection
from tune_cluster.cluster.width import EVERY, nodes_up
from tune_cluster.storage.addresses import SCHEME
from tune_cluster.study.journal import Event

NODE_ID = "ray.io/node-id"
"""The label by which Ray names a node to its scheduler."""


class Joiners:
    """Who has joined, and must be kept from trials.

    Args:
        inspection: of the nodes that were up before.
        cpus, gpus: of a trial.
        folder: of the study's, which is removed when a session ends.
    """

    def __init__(self, inspection: Inspection, cpus: float, gpus: float, folder: Path) -> None:
        self._inspection = inspection
        self._size = (cpus, gpus)
        self._in_bucket = inspection.storage.startswith(SCHEME)
        self._session = secrets.token_hex(8)
        # Under a name of this session: an old copy of the study on another disk does not have it.
        self._meeting_point = folder.absolute() / f"nodes-{self._session}"
        self._refused: dict[str, list[PlacementGroup]] = {}
        """By the node's id, what fills it."""
        self.note: Callable[[Event, str], None] = lambda event, line: None
        """Told what becomes known, for the journal and for a person."""
        self._why = ""
        """Of the one that was refused last."""
        self._next = 0.0
        """When to look again, by the clock of `time.monotonic`."""
        self.on_none_left: Callable[[str], None] = lambda reason: None
        """Told that no trial can run on any node that is up, and why."""

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its schedulers, `note` leads to the study, and of what that holds
        some cannot be pickled, such as the walk through a grid."""
        return {}

    def open(self) -> None:
        """Makes what a joiner has to see."""
        if not self._in_bucket:
            self._meeting_point.mkdir(parents=True, exist_ok=True)

    def admission(self) -> Admission:
        """For the processes of the trials."""
        inspection = self._inspection
        good = [
            node.node_id
            for node in inspection.for_trials(*self._size)
            if not node.problems(inspection.driver, inspection.storage)
        ]
        meeting_point = inspection.storage if self._in_bucket else str(self._meeting_point)
        return Admission(
            frozenset(good),
            inspection.driver,
            driver_node=ray.get_runtime_context().get_node_id(),
            session=self._session,
            storage=inspection.storage,
            meeting_point=meeting_point,
            gpus=self._size[1],
        )

    def nodes(self) -> dict[str, Resources]:
        """What each node has that is up and not refused, by its id."""
        up = nodes_up()
        for gone in self._refused.keys() - up.keys():
            for group in self._refused.pop(gone):
                remove_placement_group(group)
        return {node: has for node, has in up.items() if node not in self._refused}

    def refuse(self, node: str, harms: Sequence[str]) -> None:
        """Takes all the room of a node, and says why; nothing if that has been done."""
        up = nodes_up()
        if node in self._refused or node not in up:
            return
        cpus, gpus = self._size
        bundle = {kind: size for kind, size in {"CPU": cpus, "GPU": gpus}.items() if size}
        self._refused[node] = [
            placement_group([bundle], bundle_label_selector=[{NODE_ID: node}])
            for _ in range(fitting(up[node], cpus, gpus))
        ]
        what = f"node {node[:8]}, which has joined: it {'; it '.join(harms)}"
        self.note(
            {"event": "node_refused", "node": node[:8], "reasons": list(harms)},
            f"refused    {what}. No trial runs there",
        )
        self._why = f"there is no node for trials but {what}"

    def look(self) -> None:
        """Tells it where none is left but those that were refused. To be called again and again: a
        good one that is lost is up for Ray until it has missed its heartbeats."""
        if not self._refused or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + EVERY
        left = self.nodes().values()
        if self._refused and not any(fitting(has, *self._size) for has in left):
            self.on_none_left(self._why)
