"""Which nodes are no good for a trial, of those that are up before it and of those that join.

All nodes are asked at once, before the first trial, what they have. Only those on which a trial
fits must be good for one: a head that has no CPU to give may have no GPU, another torch, and no
mount of the storage.

The first processes of trials that Ray starts on a node that joins later ask it the same. Once it
was found good it is asked no more: what fails then is waited for, as on any node. Ray knows no
study that a node is not for, and gives a trial to any node with room. So the room of one that is no
good is taken: by reservations of the size of a trial, which run nothing and end with the driver. A
trial that came there before them is restarted elsewhere, without blame. The node is kept from
idling by that, and an autoscaler from ending it. Where no other one is up that trials fit on, the
study has to end: those that wait would make an autoscaler start the next node of the same kind, and
so on to the last that it may.
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
    with _meeting_point(storage) as meeting_point:
        driver = facts_here(meeting_point, "driver")
        up = [node for node in ray.nodes() if node["Alive"]]
        # Before that a node would not have said that its torch does not answer.
        patience = within + (TORCH_SECONDS if gpus else 0.0)
        nodes = _ask_nodes(up, meeting_point, patience, remote(facts_here), gpus=gpus)
        # A node that was killed just before is up for Ray until it misses its heartbeats.
        alive = {node["NodeID"] for node in ray.nodes() if node["Alive"]}
    return Inspection(tuple(node for node in nodes if node.node_id in alive), driver, storage)


def _ask_nodes(
    up: Sequence[dict[str, Any]], meeting_point: str, within: float, ask: Any, *, gpus: bool
) -> list[Node]:
    """Return what each node says, in the order of `ray.nodes()`.

    Args:
        within: seconds that they have for it, all together.
        ask: `facts_here`, to be run on a node.
    """
    asked = time.time()
    answers = [
        ask.options(
            # Beside whatever runs there, and also where nothing may.
            num_cpus=0,
            # A process may be lost for others' sake, once; a second one is the node's fault.
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
            # Seen from both sides.
            seen = meeting_point.startswith(SCHEME) or Path(meeting_point, known.node_id).exists()
            known = replace(
                known,
                facts=replace(facts, shared=facts.shared and (seen or bool(facts.unwritable))),
                # What its way here may have taken is no skew.
                skew=min(facts.clock - asked, 0.0)
                + max(facts.clock - arrived.get(answer, time.time()), 0.0),
            )
        nodes.append(known)
    return nodes


@contextmanager
def _meeting_point(storage: str) -> Iterator[str]:
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

    def problems(self) -> list[str]:
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
        self._inspection, self._size = inspection, (cpus, gpus)
        self._on_refused, self._on_none_left = on_refused, on_none_left
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

    def admission(self) -> Admission:
        """Return what the processes of trials are given, and make the folder that a node which
        joins has to see."""
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
        refused = f"node {node[:8]}, which has joined: it {'; it '.join(problems)}"
        self._why = f"there is no node for trials but {refused}"
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
