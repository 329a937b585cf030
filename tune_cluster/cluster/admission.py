"""Whether a trial may run on the node that its process is on: asked there, before anything of it.

The nodes that were up when the study began have been asked by then. One that joins later is asked
what they were asked by the first processes that Ray starts there; see `joiners` for what follows.
Once it was found good it is asked no more: what fails then is waited for, as on any other node.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import ray
from ray.exceptions import RayError
from ray.experimental.internal_kv import _internal_kv_exists, _internal_kv_put
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from tune_cluster.cluster.node_check import Facts, harms, tell

NAMESPACE = "tune_jobs_admitted"
"""Of Ray's own store of keys, in which the first process on a node tells the next ones."""

PATIENCE = 30.0
"""Seconds for a look from the driver's node: where storage hangs, so does who looks at it."""


@dataclass(frozen=True)
class Admission:
    """What a process has to know for that."""

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
        """What keeps a trial from running here, each with what to do; empty where nothing does."""
        node = ray.get_runtime_context().get_node_id()
        key = f"{self.session}:{node}"
        if node in self.asked or _internal_kv_exists(key, namespace=NAMESPACE):
            return []
        facts = tell(self.meeting_point, node, gpus=self.gpus > 0)
        away = facts.cut_off and self._cut_off_at_the_driver()
        if away:
            # It is so for all, and is waited for.
            facts = replace(facts, shared=True, unwritable="")
        elif facts.cut_off:
            # It may have come back just before the driver's node looked.
            facts = replace(tell(self.meeting_point, node), gpus=facts.gpus)
        found = harms(facts, self.driver, self.storage)
        if not found and not away:
            _internal_kv_put(key, b"good", namespace=NAMESPACE)
        return found

    def _cut_off_at_the_driver(self) -> bool:
        there = NodeAffinitySchedulingStrategy(self.driver_node, soft=False)
        look = ray.remote(num_cpus=0, max_retries=0)(tell).options(scheduling_strategy=there)
        try:
            seen: Facts = ray.get(look.remote(self.meeting_point, "driver"), timeout=PATIENCE)
        except RayError:
            return True
        return seen.cut_off
