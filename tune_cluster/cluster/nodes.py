"""Ask all nodes at once, before the first trial, what they have, and name those that are no good.

Only nodes on which a trial fits must be good for one: a head that has no CPU to give may have no
GPU, another torch, and no mount of the storage.
"""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from tune_cluster.cluster.capacity import Resources, fitting
from tune_cluster.cluster.facts import TORCH_SECONDS, Facts, facts_here, gpu_notice, problems_of
from tune_cluster.storage.addresses import SCHEME
from tune_cluster.storage.s3 import S3Store, refusing

ANSWER_SECONDS = 30.0
"""An idle node answers in 3, of which its first process and our code take most; a busy one
may need ten times that."""

SKEW_SECONDS = 5.0
"""A clock may be wrong by so much before it is mentioned: the files of a trial are dated by its
node, the journal by the driver."""


@dataclass(frozen=True)
class Node:
    """A node that is up."""

    node_id: str
    name: str
    """Its address and the start of its id, which the journal names nodes by."""
    resources: Resources
    facts: Facts | None
    """None if it has not answered."""
    silence: str = ""
    """Why it has not."""
    skew: float = 0.0
    """Seconds by which its clock is before (below 0) or after the driver's, at least."""

    def problems(self, driver: Facts, storage: str) -> list[str]:
        """Return what keeps a trial from running there, each with what to do."""
        if self.facts is None:
            return [f"{self.silence}: see `ray status`, and end or repair it"]
        return problems_of(self.facts, driver, storage)


@dataclass(frozen=True)
class Inspection:
    """What the nodes and the driver have said."""

    nodes: tuple[Node, ...]
    driver: Facts
    storage: str

    def for_trials(self, cpus: float, gpus: float) -> list[Node]:
        """Return the nodes on which a trial of that size fits."""
        return [node for node in self.nodes if fitting(node.resources, cpus, gpus)]

    def check(self, cpus: float, gpus: float) -> None:
        """Refuse a cluster on which a trial of that size might run where it cannot.

        Raises:
            ValueError: a line for each node and what is wrong there.
        """
        lines = [
            f"node {node.name} {problem}"
            for node in self.for_trials(cpus, gpus)
            for problem in node.problems(self.driver, self.storage)
        ]
        if lines:
            raise ValueError("\n".join(lines))

    def gpu_notice(self, cpus: float, gpus: float) -> str:
        """Return what a person must know of the GPUs of trials of that size; empty if all is well.

        Raises:
            ValueError: a node has devices that its torch does not see, which `check` says too.
        """
        facts = {node.name: node.facts for node in self.for_trials(cpus, gpus)}
        return gpu_notice(
            {name: known.gpus for name, known in facts.items() if known and known.gpus}
        )

    def notes(self) -> list[str]:
        """Return what a person should know, but no trial needs."""
        return [
            f"the clock of node {node.name} is {abs(node.skew):.0f} s "
            f"{'ahead of' if node.skew > 0 else 'behind'} the driver's"
            for node in self.nodes
            if abs(node.skew) > SKEW_SECONDS
        ]


def inspect(
    storage: str,
    *,
    gpus: bool = False,
    within: float = ANSWER_SECONDS,
    remote: Callable[[Any], Any] = ray.remote,
) -> Inspection:
    """Ask every node that is up, all at once.

    Args:
        storage: where studies are kept, a folder or a bucket; nothing of the question stays there.
        gpus: whether trials need them: a node that declares some is asked what is there.
        within: seconds, after which a node that has not answered is silent; beside those that its
            torch may take, where it is asked for its GPUs.
        remote: makes a function one that runs on a node; of a study, as its trials run there, so
            that the first trial finds the process of this one ready.

    Raises:
        ValueError: the driver itself cannot write to the storage.
    """
    if not storage.startswith(SCHEME):
        storage = str(Path(storage).absolute())
    with meeting_point(storage) as place:
        driver = facts_here(place, "driver")
        up = [node for node in ray.nodes() if node["Alive"]]
        # Before that a node would not have said that its torch does not answer.
        patience = within + (TORCH_SECONDS if gpus else 0.0)
        nodes = ask_nodes(up, place, patience, remote(facts_here), gpus=gpus)
        # A node that was killed just before is up for Ray until it misses its heartbeats.
        alive = {node["NodeID"] for node in ray.nodes() if node["Alive"]}
    return Inspection(tuple(node for node in nodes if node.node_id in alive), driver, storage)


def ask_nodes(
    up: Sequence[dict[str, Any]], place: str, within: float, question: Any, *, gpus: bool = False
) -> list[Node]:
    """Return what each node says, in their order.

    Args:
        up: nodes, as `ray.nodes()` has them.
        place: the meeting point.
        within: seconds that they have for it, all together.
        question: `facts_here`, to be run on a node.
        gpus: whether those that declare some look for them.
    """
    asked = time.time()
    answers = [
        question.options(
            # Beside whatever runs there, and also where nothing may.
            num_cpus=0,
            # A process may be lost for others' sake, once; a second one is the node's fault.
            max_retries=1,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False),
        ).remote(place, node["NodeID"], gpus=gpus and node["Resources"].get("GPU", 0) > 0)
        for node in up
    ]
    arrived: dict[Any, float] = {}
    left = list(answers)
    while left and (patience := asked + within - time.time()) > 0:
        ready, left = ray.wait(left, num_returns=1, timeout=patience)
        arrived.update({answer: time.time() for answer in ready})
    nodes = []
    for node, answer in zip(up, answers, strict=True):
        name = f"{node['NodeManagerAddress']} ({node['NodeID'][:8]})"
        known = Node(node["NodeID"], name, dict(node["Resources"]), None)
        try:
            facts = ray.get(answer, timeout=0)
        except GetTimeoutError:
            ray.cancel(answer, force=True)
            known = replace(known, silence=f"has not answered within {within:g} s")
        except RayError as error:
            known = replace(known, silence=f"cannot run a process of ours ({reason(error)})")
        else:
            # Seen from both sides.
            seen = place.startswith(SCHEME) or Path(place, known.node_id).exists()
            known = replace(
                known,
                facts=replace(facts, shared=facts.shared and (seen or bool(facts.unwritable))),
                # What its way here may have taken is no skew.
                skew=min(facts.clock - asked, 0.0) + max(facts.clock - arrived[answer], 0.0),
            )
        nodes.append(known)
    return nodes


def reason(error: RayError) -> str:
    """Return what a task has failed with, in one line."""
    cause = error.cause if isinstance(error, RayTaskError) else error
    return f"{type(cause).__name__}: {cause}".splitlines()[0]


@contextmanager
def meeting_point(storage: str) -> Iterator[str]:
    """A folder in the storage that driver and nodes write to, for as long as the context lasts. Of
    a bucket it is that itself: what is written there is deleted by who wrote it.

    Raises:
        ValueError: the driver cannot write there.
    """
    if storage.startswith(SCHEME):
        bucket = S3Store(storage)
        with refusing("--storage-path", bucket):
            bucket.probe()
        yield storage
        return
    kept = Path(storage)
    folder = kept / f".nodes-{secrets.token_hex(8)}"
    missing = [path for path in (kept, *kept.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise ValueError(
            f"--storage-path {storage}: cannot be written ({error.strerror})"
        ) from None
    try:
        yield str(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        for path in missing:
            # Another one's study may be there by now.
            with suppress(OSError):
                path.rmdir()
