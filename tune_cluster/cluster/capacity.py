"""Number of trials that run at once, on nodes that are up or that an autoscaler may start."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import ray
import yaml

from tune_cluster.cluster.compat import HEAD, raycluster

Resources = Mapping[str, float]
"""Resources of a node or a type of nodes, in Ray's names and units: CPU, GPU, memory in bytes."""

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
"""File with the namespace of a pod of Kubernetes."""


@dataclass(frozen=True)
class NodeType:
    """One of the autoscaler's `available_node_types`."""

    name: str
    resources: Resources
    """Resources of such a node; empty if unknown until it has joined, as for on-premise
    machines."""
    max_workers: int
    """Largest number of such nodes at once."""


@dataclass(frozen=True)
class Autoscaler:
    """Nodes that an autoscaler may start; none without an autoscaler."""

    types: tuple[NodeType, ...] = ()
    max_workers: int = 0
    """Largest number of nodes of all types together, without the head."""

    def slots(self, fits: Callable[[Resources], int]) -> int:
        """Return how many trials run at once when all useful nodes are started, by the number that
        fits on a node."""
        left, count = self.max_workers, 0
        for node_type in sorted(self.types, key=lambda t: -fits(t.resources)):
            started = min(node_type.max_workers, left)
            count += started * fits(node_type.resources)
            left -= started
        return count


def read_autoscaler(gcs_address: str) -> Autoscaler:
    """Return the autoscaler of the cluster whose head, at `host:port`, runs on this machine.

    Ray has no function for it: `get_max_resources_from_cluster_config` reads a table that neither
    its autoscaler v1 nor v2 ever writes. So the autoscaler's own sources are read.
    """
    in_pod = "RAY_CLUSTER_NAME" in os.environ and SERVICE_ACCOUNT.exists()
    return autoscaler_of(_of_raycluster() if in_pod else _of_monitor(gcs_address))


def autoscaler_of(config: Mapping[str, Any]) -> Autoscaler:
    """Return the autoscaler with a configuration as `ray up` leaves it on the head."""
    types = config.get("available_node_types", {}).items()
    bringing = tuple(
        NodeType(name, dict(entry.get("resources") or {}), entry.get("max_workers", 0))
        for name, entry in types
        if entry.get("max_workers", 0) > 0
    )
    return Autoscaler(bringing, config.get("max_workers", 0))


def _of_monitor(gcs_address: str) -> dict[str, Any]:
    """Return the configuration of that cluster's autoscaler process on this machine."""
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        # It has ended meanwhile, or belongs to another user.
        with suppress(OSError):
            words = process.read_text(errors="replace").split("\0")
            options = dict(word.partition("=")[::2] for word in words)
            if options.get("--gcs-address") == gcs_address and "--autoscaling-config" in options:
                path = Path(options["--autoscaling-config"]).expanduser()
                return dict(yaml.safe_load(path.read_text()))
    return {}


def _of_raycluster() -> dict[str, Any]:
    """Return the configuration of this pod's cluster from Kubernetes."""
    try:
        return raycluster(SERVICE_ACCOUNT.read_text(), os.environ["RAY_CLUSTER_NAME"])
    except OSError:
        # Only the head of an autoscaling cluster has the right to ask.
        return {}


@dataclass(frozen=True)
class Cluster:
    """Resources of the cluster, now and with its autoscaler."""

    nodes: tuple[Resources, ...]
    """Resources of each node that is up."""
    autoscaler: Autoscaler = field(default_factory=Autoscaler)
    """Autoscaler, which starts nodes when trials wait."""
    own: bool = False
    """Whether this job has started the cluster, on this machine, for itself."""

    @property
    def gpus(self) -> float:
        """GPUs of the nodes that are up."""
        return sum(node.get("GPU", 0.0) for node in self.nodes)

    def slots(self, cpus: float, gpus: float) -> int:
        """Return how many trials of that size run at once, on the nodes that are up or on those
        that an autoscaler starts when trials wait.

        Raises:
            ValueError: not even one would ever fit, so that it would wait forever.
        """

        def fits(node: Resources) -> int:
            return fitting(node, cpus, gpus)

        head = sum(fits(node) for node in self.nodes if HEAD in node)
        count = max(sum(map(fits, self.nodes)), head + self.autoscaler.slots(fits))
        if count == 0:
            raise ValueError(self._why_not(cpus, gpus))
        return count

    def _why_not(self, cpus: float, gpus: float) -> str:
        types, later = self.autoscaler.types, ""
        kinds = [node_type.resources for node_type in types if node_type.resources]
        unknown = sum(node_type.max_workers for node_type in types if not node_type.resources)
        if unknown:
            later = (
                f". Up to {unknown} nodes may still join, whose size is not known before: see "
                "`ray status`, and start the study when they are up"
            )
        elif gpus > 0 and not any(node.get("GPU") for node in (*self.nodes, *kinds)):
            return (
                f"--gpus-per-trial {gpus:g}: the cluster has no GPU, and none that it may start. "
                "Give 0, or --address of a cluster that has"
            )
        bring = f", those that the autoscaler may start have {_sizes(kinds)}" if kinds else ""
        return (
            f"a trial of {cpus:g} CPU and {gpus:g} GPU fits on no node: those that are up have "
            f"{_sizes(self.nodes)}{bring}{later}"
        )


def fitting(node: Resources, cpus: float, gpus: float) -> int:
    """Return how many trials of that size run on a node at once."""
    per_kind = [node.get("CPU", 0.0) / cpus] if cpus else []
    if gpus:
        # A trial of 0.4 GPU cannot be spread over two: 2 trials on each, not 5 on two.
        whole = int(1 / gpus + 1e-9) if gpus < 1 else 1 / gpus
        per_kind.append(node.get("GPU", 0.0) * whole)
    return int(min(per_kind) + 1e-9)


def _sizes(nodes: Iterable[Resources]) -> str:
    found = {(node.get("CPU", 0.0), node.get("GPU", 0.0)) for node in nodes}
    return " or ".join(f"{cpus:g} CPU and {gpus:g} GPU" for cpus, gpus in sorted(found))


SECONDS_BETWEEN_LOOKS = 2.0
"""Seconds between two checks of the nodes; a node takes longer to join."""


def nodes_up() -> dict[str, Resources]:
    """Return the resources of each node that is up, by its id."""
    return {node["NodeID"]: dict(node["Resources"]) for node in ray.nodes() if node["Alive"]}


class TrialSlots:
    """Number of trials that fit on the nodes that are up at the time of a call.

    Args:
        cluster: cluster at the beginning of the study.
        cpus: CPUs of a trial.
        gpus: GPUs of a trial.
        on_change: called with the numbers before and after a change.
        look: returns the nodes that are up.
        clock: returns seconds of a monotonic clock.
    """

    def __init__(
        self,
        cluster: Cluster,
        cpus: float,
        gpus: float,
        *,
        on_change: Callable[[int, int], None],
        look: Callable[[], Mapping[str, Resources]] = nodes_up,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cluster, self._cpus, self._gpus = cluster, cpus, gpus
        self._on_change, self._look, self._clock = on_change, look, clock
        self._slots = cluster.slots(cpus, gpus)
        self._next = clock() + SECONDS_BETWEEN_LOOKS

    def __call__(self) -> int:
        """Return the current number, at least 1: a study waits for nodes it has lost."""
        if self._clock() >= self._next:
            self._next = self._clock() + SECONDS_BETWEEN_LOOKS
            before, self._slots = self._slots, self._count()
            if before != self._slots:
                self._on_change(before, self._slots)
        return self._slots

    def _count(self) -> int:
        cluster = replace(self._cluster, nodes=tuple(self._look().values()))
        try:
            return cluster.slots(self._cpus, self._gpus)
        except ValueError:
            return 1
