"""Whether a trial may run on the node that its process is on: asked there, before anything of it.

The nodes that were up when the study began have been asked by then. One that joins later is asked
what they were asked by the first processes that Ray starts there; see `joiners` for what follows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import ray

from tune_jobs.runtime.cluster.node_check import Facts, harms, tell


@dataclass(frozen=True)
class Admission:
    """What a process has to know for that."""

    asked: frozenset[str]
    """Ids of the nodes that are known to be good."""
    driver: Facts
    storage: str
    meeting_point: str
    """A folder in the storage that the driver of this session has made, or the bucket."""
    gpus: float
    """Of a trial."""

    def harms(self) -> list[str]:
        """What keeps a trial from running here, each with what to do; empty where nothing does."""
        node = ray.get_runtime_context().get_node_id()
        if node in self.asked:
            return []
        facts = tell(self.meeting_point, node, gpus=self.gpus > 0)
        if facts.full:
            # It is so for all, and is waited for.
            facts = replace(facts, unwritable="")
        return harms(facts, self.driver, self.storage)
