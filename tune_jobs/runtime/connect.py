"""To a cluster: the one that is named, else the one that runs here, else one for this job alone."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import ray

PACKAGES = ("tune_jobs", "search_spaces", "trainables")


@dataclass(frozen=True)
class Cluster:
    """What the cluster has."""

    nodes: tuple[dict[str, float], ...]
    """Resources of each node that is up."""
    growth: dict[str, float]
    """What an autoscaler may bring, all nodes together; empty without one."""

    def slots(self, cpus: float, gpus: float) -> int:
        """How many trials of that size run at once on the nodes that are up.

        Raises:
            ValueError: not even one would ever fit, so that it would wait for ever.
        """
        if gpus > 0 and not (self._most("GPU") or self.growth.get("GPU", 0)):
            raise ValueError(
                f"--gpus-per-trial {gpus:g}: the cluster has no GPU. Give 0, or --address of a "
                "cluster that has"
            )
        count = sum(self._fits(node, cpus, gpus) for node in self.nodes)
        if count == 0 and not self._may_grow(cpus, gpus):
            raise ValueError(
                f"a trial of {cpus:g} CPU and {gpus:g} GPU fits on no node: the largest has "
                f"{self._most('CPU'):g} CPU and {self._most('GPU'):g} GPU"
            )
        return max(count, 1)

    def _most(self, kind: str) -> float:
        return max((node.get(kind, 0.0) for node in self.nodes), default=0.0)

    def _may_grow(self, cpus: float, gpus: float) -> bool:
        return self.growth.get("CPU", 0) >= cpus and self.growth.get("GPU", 0) >= gpus

    @staticmethod
    def _fits(node: dict[str, float], cpus: float, gpus: float) -> int:
        per_kind = [node.get("CPU", 0.0) / cpus] if cpus else []
        if gpus:
            # A trial of 0.4 GPU can't be spread over two: 2 of them on each, not 5 on two.
            whole = int(1 / gpus + 1e-9) if gpus < 1 else 1 / gpus
            per_kind.append(node.get("GPU", 0.0) * whole)
        return int(min(per_kind) + 1e-9)


@contextmanager
def cluster(address: str | None) -> Iterator[Cluster]:
    """Connects for as long as the context lasts; the code of this project travels to the workers.

    Args:
        address: of a running cluster; "local" starts one for this job; None finds or starts one.

    Raises:
        ValueError: nothing answers at `address`.
    """
    # Our own lines say what happens; warnings of Ray's would stand between them.
    logging.getLogger("ray").setLevel(logging.ERROR)
    if address is not None and ":" in address:
        check_reachable(address)
    root = Path(__file__).parents[2]
    try:
        ray.init(
            address=address,
            # Of a Ray for this job alone: 200 MB and 11 processes that nobody would look at.
            include_dashboard=False,
            runtime_env={"py_modules": [str(root / package) for package in PACKAGES]},
            log_to_driver=False,
            logging_level=logging.ERROR,
            configure_logging=True,
        )
    except (ConnectionError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"--address {address}: no cluster answers there ({reason})") from None
    try:
        nodes = tuple(dict(node["Resources"]) for node in ray.nodes() if node["Alive"])
        growth = ray._private.state.state.get_max_resources_from_cluster_config() or {}
        yield Cluster(nodes, growth)
    finally:
        ray.shutdown()


def check_reachable(address: str) -> None:
    """Knocks at `host:port`: Ray itself would wait for minutes, and end the process.

    Raises:
        ValueError: nothing answers within 5 s, or it is no such address.
    """
    host, _, port = address.rpartition(":")
    if "/" in host or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"--address must be host:port, auto or local, got {address}")
    try:
        socket.create_connection((host, int(port)), timeout=5).close()
    except OSError as error:
        raise ValueError(f"--address {address}: no cluster answers there ({error})") from None
