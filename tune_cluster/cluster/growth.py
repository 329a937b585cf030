"""What an autoscaler may bring to the cluster: of each type of node its size, and how many."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

Resources = Mapping[str, float]
"""Of a node or a type of nodes, as Ray names and counts them: CPU, GPU, memory in bytes."""

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
"""The namespace that a pod of Kubernetes lives in."""


@dataclass(frozen=True)
class NodeType:
    """One of the autoscaler's `available_node_types`."""

    name: str
    resources: Resources
    """Empty where nobody knows before such a node has joined: machines of one's own."""
    max_workers: int
    """Nodes of it at once."""


@dataclass(frozen=True)
class Growth:
    """What an autoscaler may start; nothing without one."""

    types: tuple[NodeType, ...] = ()
    max_workers: int = 0
    """Nodes of all types together; the head is none of them."""

    def slots(self, fits: Callable[[Resources], int]) -> int:
        """How many trials run at once when all is started that helps, by how many fit on a node."""
        left, count = self.max_workers, 0
        for node_type in sorted(self.types, key=lambda t: -fits(t.resources)):
            started = min(node_type.max_workers, left)
            count += started * fits(node_type.resources)
            left -= started
        return count

    def unknown(self) -> int:
        """How many nodes may come whose size is not known."""
        return sum(node_type.max_workers for node_type in self.types if not node_type.resources)


def read_growth(gcs_address: str) -> Growth:
    """Of the cluster with that head, on which this has to run.

    Ray tells it to nobody: `get_max_resources_from_cluster_config` reads a table that neither its
    autoscaler v1 nor v2 ever writes. So it is read where the autoscaler itself reads it.

    Args:
        gcs_address: host:port of the cluster's head.
    """
    in_pod = "RAY_CLUSTER_NAME" in os.environ and SERVICE_ACCOUNT.exists()
    return growth_of(_of_raycluster() if in_pod else _of_monitor(gcs_address))


def growth_of(config: Mapping[str, Any]) -> Growth:
    """By an autoscaler's configuration, as `ray up` leaves it on the head."""
    types = config.get("available_node_types", {}).items()
    bringing = tuple(
        NodeType(name, dict(entry.get("resources") or {}), entry.get("max_workers", 0))
        for name, entry in types
        if entry.get("max_workers", 0) > 0
    )
    return Growth(bringing, config.get("max_workers", 0))


def _of_monitor(gcs_address: str) -> dict[str, Any]:
    """What the autoscaler's process of that cluster has been started with, on this machine."""
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        # Ended meanwhile, or another person's.
        with suppress(OSError):
            words = process.read_text(errors="replace").split("\0")
            options = dict(word.partition("=")[::2] for word in words)
            if options.get("--gcs-address") == gcs_address and "--autoscaling-config" in options:
                path = Path(options["--autoscaling-config"]).expanduser()
                return dict(yaml.safe_load(path.read_text()))
    return {}


def _of_raycluster() -> dict[str, Any]:
    """What Kubernetes has of this pod's cluster, which the autoscaler in the head's pod may ask."""
    # Here, since they read their environment when they are imported.
    from ray.autoscaler._private.kuberay import autoscaling_config, node_provider

    try:
        client = node_provider.KubernetesHttpApiClient(SERVICE_ACCOUNT.read_text())
        found = client.get(f"rayclusters/{os.environ['RAY_CLUSTER_NAME']}")
    except OSError:
        # Only the head of a cluster that scales by itself has the right to ask.
        return {}
    return dict(autoscaling_config._derive_autoscaling_config_from_ray_cr(found))
