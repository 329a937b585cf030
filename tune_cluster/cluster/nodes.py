"""Unsuitable nodes, among those that are up before the first trial and those that join later.

All nodes are checked at once, before the first trial. Only nodes on which a trial fits must be
suitable: a head that has no free CPU may have no GPU, another torch, and no mount of the storage.

On a node that joins later, the first processes of trials run the same check. Once a node was found
suitable it is not checked again: later failures are waited for, as on any node. Ray cannot exclude
a node from a study, and starts trials on any node with free resources. So the resources of an
unsuitable node are taken: by reservations of the size of a trial, which run nothing and end with
the driver. A trial that had started there before is restarted elsewhere, without blame. The
reservations keep the node from idling, and so an autoscaler from ending it. If no other node is up
on which trials fit, the study has to end: waiting trials would make an autoscaler start the next
node of the same kind, and so on up to its limit.
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
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from tune_cluster.cluster.capacity import SECONDS_BETWEEN_LOOKS, Resources, fitting, nodes_up
from tune_cluster.cluster.compat import NODE_ID, HeadStore
from tune_cluster.cluster.facts import TORCH_SECONDS, Facts, facts_here, gpu_notice, problems_of
from tune_cluster.storage.s3 import S3Store, refusing
from tune_cluster.storage.store import SCHEME

ANSWER_SECONDS = 30.0
"""Seconds for the answer of a node. An idle one takes 3, for its first process and our code; a busy
one may need ten times that."""

SKEW_SECONDS = 5.0
"""Seconds by which a clock may differ before it is reported: the files of a trial have the time of
its node, the journal that of the driver."""


@dataclass(frozen=True)
class Node:
    """A node that is up, and its check."""

    node_id: str
    name: str
    """Its address and the start of its id, as in the journal."""
    resources: Resources
    facts: Facts | None
    """Facts about the node; None if it has not answered."""
    silence: str = ""
    """Reason why it has not answered."""
    skew: float = 0.0
    """Seconds by which its clock is behind (negative) or ahead of the driver's, at least."""

    def problems(self, driver: Facts, storage: str) -> list[str]:
        """Return the problems that prevent trials on it, each with what to do."""
        if self.facts is None:
            return [f"{self.silence}: see `ray status`, and end or repair it"]
        return problems_of(self.facts, driver, storage)


@dataclass(frozen=True)
class Inspection:
    """Results of the check of all nodes and the driver."""

    nodes: tuple[Node, ...]
    driver: Facts
    storage: str

    def for_trials(self, cpus: float, gpus: float) -> list[Node]:
        """Return the nodes on which a trial of that size fits."""
        return [node for node in self.nodes if fitting(node.resources, cpus, gpus)]

    def check(self, cpus: float, gpus: float) -> None:
        """Check that no node on which a trial of that size fits is unsuitable.

        Raises:
            ValueError: one is; with a line for each node and problem.
        """
        lines = [
            f"node {node.name} {problem}"
            for node in self.for_trials(cpus, gpus)
            for problem in node.problems(self.driver, self.storage)
        ]
        if lines:
            raise ValueError("\n".join(lines))

    def gpu_notice(self, cpus: float, gpus: float) -> str:
        """Return a notice about the GPUs of trials of that size; empty if all is well.

        Raises:
            ValueError: a node has devices that its torch does not see, which `check` reports too.
        """
        facts = {node.name: node.facts for node in self.for_trials(cpus, gpus)}
        return gpu_notice(
            {name: known.gpus for name, known in facts.items() if known and known.gpus}
        )

    def notes(self) -> list[str]:
        """Return notices for the user that do not affect trials."""
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
    """Check every node that is up, all at once.

    Args:
        storage: folder or bucket of the studies; no file of the check remains there.
        gpus: whether trials need GPUs: nodes that declare some are asked what they have.
        within: seconds after which a node that has not answered is silent, in addition to those for
            the import of torch, if GPUs are checked.
        remote: turns a function into one that runs on a node; for a study, as its trials run there,
            so that the first trial can use the process of this check.

    Raises:
        ValueError: the driver itself cannot write to the storage.
    """
    if not storage.startswith(SCHEME):
        storage = str(Path(storage).absolute())
    with _meeting_point(storage) as meeting_point:
        driver = facts_here(meeting_point, "driver")
        up = [node for node in ray.nodes() if node["Alive"]]
        # Less would not let a node report that its torch does not answer.
        patience = within + (TORCH_SECONDS if gpus else 0.0)
        nodes = _ask_nodes(up, meeting_point, patience, remote(facts_here), gpus=gpus)
        # A node that was just killed is up for Ray until it misses its heartbeats.
        alive = {node["NodeID"] for node in ray.nodes() if node["Alive"]}
    return Inspection(tuple(node for node in nodes if node.node_id in alive), driver, storage)


def _ask_nodes(
    up: Sequence[dict[str, Any]], meeting_point: str, within: float, ask: Any, *, gpus: bool
) -> list[Node]:
    """Return the check of each node, in the order of `ray.nodes()`.

    Args:
        up: descriptions of the nodes.
        meeting_point: folder in the storage, or bucket.
        within: seconds for all nodes together.
        ask: `facts_here` as a function that runs on a node.
        gpus: whether to check GPUs.
    """
    asked = time.time()
    answers = [
        ask.options(
            # Beside other work of the node, and even if its resources are all taken.
            num_cpus=0,
            # A process may be killed because of others, once; a second loss is the node's fault.
            max_retries=1,
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False),
        ).remote(meeting_point, node["NodeID"], gpus=gpus and node["Resources"].get("GPU", 0) > 0)
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
            cause = error.cause if isinstance(error, RayTaskError) else error
            reason = f"{type(cause).__name__}: {cause}".splitlines()[0]
            known = replace(known, silence=f"cannot run a process of ours ({reason})")
        else:
            # The driver must see the node's file too.
            seen = meeting_point.startswith(SCHEME) or Path(meeting_point, known.node_id).exists()
            known = replace(
                known,
                facts=replace(facts, shared=facts.shared and (seen or bool(facts.unwritable))),
                # The time of the transfer is no skew.
                skew=min(facts.clock - asked, 0.0)
                + max(facts.clock - arrived.get(answer, time.time()), 0.0),
            )
        nodes.append(known)
    return nodes


@contextmanager
def _meeting_point(storage: str) -> Iterator[str]:
    """Create a folder in the storage that driver and nodes write to, within the `with` block. For a
    bucket it is the bucket itself: each writer deletes what it has written.

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
            # Another process may have written a study to it.
            with suppress(OSError):
                path.rmdir()


ADMITTED = "tune_jobs_admitted"
"""Namespace in which the first process on a node records for later ones that it is suitable."""

DRIVER_SECONDS = 30.0
"""Seconds for a check on the driver's node: a check of hanging storage hangs too."""


@dataclass(frozen=True)
class Admission:
    """Data with which the process of a trial checks its node."""

    asked: frozenset[str]
    """Ids of the nodes that are known to be suitable."""
    driver: Facts
    driver_node: str
    """Id of the driver's node."""
    session: str
    """Unique id of the driver's session."""
    storage: str
    meeting_point: str
    """Folder in the storage that the driver of this session has created, or the bucket."""
    gpus: float
    """GPUs of a trial."""

    def problems(self) -> list[str]:
        """Return the problems that prevent trials here, each with what to do."""
        node = ray.get_runtime_context().get_node_id()
        key = f"{self.session}:{node}"
        admitted = HeadStore(ADMITTED)
        if node in self.asked or admitted.has(key):
            return []
        facts = facts_here(self.meeting_point, node, gpus=self.gpus > 0)
        away = facts.cut_off and self._cut_off_at_the_driver()
        if away:
            # All nodes have lost the storage, which is waited for.
            facts = replace(facts, shared=True, unwritable="")
        elif facts.cut_off:
            # It may have recovered just before the check of the driver's node.
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
    """Nodes that have joined, and exclusion of the unsuitable ones.

    Args:
        inspection: check of the nodes that were up before.
        cpus: CPUs of a trial.
        gpus: GPUs of a trial.
        folder: folder of the study, in which a temporary folder of the session is created.
        on_refused: called with a node's id and its problems.
        on_none_left: called with the reason when no suitable node is up.
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
        self._inspection, self._size = inspection, (cpus, gpus)
        self._on_refused, self._on_none_left = on_refused, on_none_left
        self._in_bucket = inspection.storage.startswith(SCHEME)
        self._session = secrets.token_hex(8)
        # Under a name of this session, which an old copy of the study on another disk lacks.
        self._meeting_point = folder.absolute() / f"nodes-{self._session}"
        self._refused: dict[str, list[PlacementGroup]] = {}
        """Reservations that fill a node, by its id."""
        self._why = ""
        """Problems of the node that was refused last."""
        self._next = 0.0
        """Time of the next check, by `time.monotonic`."""

    def __getstate__(self) -> dict[str, Any]:
        """Return no state: Tune pickles its schedulers, and `on_refused` refers to the study, parts
        of which cannot be pickled, such as the iterator of a grid."""
        return {}

    def admission(self) -> Admission:
        """Return the data for the processes of trials, and create the folder that a joining node
        has to see."""
        if not self._in_bucket:
            self._meeting_point.mkdir(parents=True, exist_ok=True)
        driver, storage = self._inspection.driver, self._inspection.storage
        nodes = self._inspection.for_trials(*self._size)
        return Admission(
            frozenset(node.node_id for node in nodes if not node.problems(driver, storage)),
            driver,
            driver_node=ray.get_runtime_context().get_node_id(),
            session=self._session,
            storage=storage,
            meeting_point=storage if self._in_bucket else str(self._meeting_point),
            gpus=self._size[1],
        )

    def nodes(self) -> dict[str, Resources]:
        """Return the resources of each node that is up and not refused, by its id."""
        up = nodes_up()
        for gone in self._refused.keys() - up.keys():
            for group in self._refused.pop(gone):
                remove_placement_group(group)
        return {node: has for node, has in up.items() if node not in self._refused}

    def refuse(self, node: str, problems: Sequence[str]) -> None:
        """Take all resources of a node, unless that was done before."""
        up = nodes_up()
        if node in self._refused or node not in up:
            return
        cpus, gpus = self._size
        bundle = {kind: size for kind, size in {"CPU": cpus, "GPU": gpus}.items() if size}
        self._refused[node] = [
            placement_group([bundle], bundle_label_selector=[{NODE_ID: node}])
            for _ in range(fitting(up[node], cpus, gpus))
        ]
        refused = f"node {node[:8]}, which has joined: it {'; it '.join(problems)}"
        self._why = f"there is no node for trials but {refused}"
        self._on_refused(node, problems)

    def look(self) -> None:
        """Call `on_none_left` if only refused nodes are left. To be called in every step: a lost
        node is up for Ray until it has missed its heartbeats."""
        if not self._refused or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + SECONDS_BETWEEN_LOOKS
        left = self.nodes().values()
        if self._refused and not any(fitting(has, *self._size) for has in left):
            self._on_none_left(self._why)
