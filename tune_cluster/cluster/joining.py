"""Nodes that join while a study runs: no trial is left on one that is no good.

The first processes of trials that Ray starts on a node ask it what the others were asked before the
study. Once it was found good it is asked no more: what fails then is waited for, as on any node.

Ray knows no study that a node is not for, and gives a trial to any node with room. So the room of
one that is no good is taken: by reservations of the size of a trial, which run nothing and end with
the driver. A trial that came there before them is restarted elsewhere, without blame.

The node is kept from idling by that, and an autoscaler from ending it. Where no other one is up
that trials fit on, the study has to end: those that wait would make an autoscaler start the next
node of the same kind, and so on to the last that it may.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from tune_cluster.cluster.capacity import SECONDS_BETWEEN_LOOKS, Resources, fitting, nodes_up
from tune_cluster.cluster.compat import NODE_ID, HeadStore
from tune_cluster.cluster.facts import Facts, facts_here, problems_of
from tune_cluster.cluster.nodes import Inspection
from tune_cluster.storage.addresses import SCHEME

ADMITTED = "tune_jobs_admitted"
"""The namespace in which the first process on a node tells the next ones that it is good."""

DRIVER_SECONDS = 30.0
"""For a look from the driver's node: where storage hangs, so does who looks at it."""


@dataclass(frozen=True)
class Admission:
    """What a process of a trial has to know to ask its node."""

    asked: frozenset[str]
    """Ids of the nodes that are known to be good."""
    driver: Facts
    driver_node: str
    """Id of the node that the driver is on."""
    session: str
    """Of the driver, unlike any other."""
    storage: str
    meeting_point: str
    """A folder in the storage that the driver of this session has made, or the bucket."""
    gpus: float
    """Of a trial."""

    def harms(self) -> list[str]:
        """Return what keeps a trial from running here, each with what to do."""
        node = ray.get_runtime_context().get_node_id()
        key = f"{self.session}:{node}"
        admitted = HeadStore(ADMITTED)
        if node in self.asked or admitted.has(key):
            return []
        facts = facts_here(self.meeting_point, node, gpus=self.gpus > 0)
        away = facts.cut_off and self._cut_off_at_the_driver()
        if away:
            # It is so for all, and is waited for.
            facts = replace(facts, shared=True, unwritable="")
        elif facts.cut_off:
            # It may have come back just before the driver's node looked.
            facts = replace(facts_here(self.meeting_point, node), gpus=facts.gpus)
        found = problems_of(facts, self.driver, self.storage)
        if not found and not away:
            admitted.put(key, "good")
        return found

    def _cut_off_at_the_driver(self) -> bool:
        there = NodeAffinitySchedulingStrategy(self.driver_node, soft=False)
        look = ray.remote(num_cpus=0, max_retries=0)(facts_here).options(scheduling_strategy=there)
        try:
            seen: Facts = ray.get(look.remote(self.meeting_point, "driver"), timeout=DRIVER_SECONDS)
        except RayError:
            return True
        return seen.cut_off


class JoiningNodes:
    """Which nodes have joined, and must be kept from trials.

    Args:
        inspection: of the nodes that were up before.
        cpus, gpus: of a trial.
        folder: of the study's, which is removed when a session ends.
        on_refused: called with a node's id and what is wrong there.
        on_none_left: called when no trial can run on any node that is up, with the reason.
    """

    def __init__(
        self,
        inspection: Inspection,
        cpus: float,
        gpus: float,
        folder: Path,
        *,
        on_refused: Callable[[str, Sequence[str]], None],
        on_none_left: Callable[[str], None],
    ) -> None:
        self._inspection = inspection
        self._on_refused, self._on_none_left = on_refused, on_none_left
        self._size = (cpus, gpus)
        self._in_bucket = inspection.storage.startswith(SCHEME)
        self._session = secrets.token_hex(8)
        # Under a name of this session: an old copy of the study on another disk does not have it.
        self._meeting_point = folder.absolute() / f"nodes-{self._session}"
        self._refused: dict[str, list[PlacementGroup]] = {}
        """By the node's id, what fills it."""
        self._why = ""
        """Of the one that was refused last."""
        self._next = 0.0
        """When to look again, by the clock of `time.monotonic`."""

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles its schedulers, `on_refused` leads to the study, and of what that
        holds some cannot be pickled, such as the walk through a grid."""
        return {}

    def open(self) -> None:
        """Make the folder that a node which joins has to see."""
        if not self._in_bucket:
            self._meeting_point.mkdir(parents=True, exist_ok=True)

    def admission(self) -> Admission:
        """Return what the processes of trials are given."""
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
        """Return what each node has that is up and not refused, by its id."""
        up = nodes_up()
        for gone in self._refused.keys() - up.keys():
            for group in self._refused.pop(gone):
                remove_placement_group(group)
        return {node: has for node, has in up.items() if node not in self._refused}

    def refuse(self, node: str, problems: Sequence[str]) -> None:
        """Take all the room of a node; nothing if that has been done."""
        up = nodes_up()
        if node in self._refused or node not in up:
            return
        cpus, gpus = self._size
        bundle = {kind: size for kind, size in {"CPU": cpus, "GPU": gpus}.items() if size}
        self._refused[node] = [
            placement_group([bundle], bundle_label_selector=[{NODE_ID: node}])
            for _ in range(fitting(up[node], cpus, gpus))
        ]
        self._why = f"there is no node for trials but {refused_line(node, problems)}"
        self._on_refused(node, problems)

    def look(self) -> None:
        """Call `on_none_left` where none is left but those that were refused. To be called in
        every step: a good one that is lost is up for Ray until it has missed its heartbeats."""
        if not self._refused or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + SECONDS_BETWEEN_LOOKS
        left = self.nodes().values()
        if self._refused and not any(fitting(has, *self._size) for has in left):
            self._on_none_left(self._why)


def refused_line(node: str, problems: Sequence[str]) -> str:
    """Return the node and what is wrong there, in a line."""
    return f"node {node[:8]}, which has joined: it {'; it '.join(problems)}"
