"""To a cluster: the one that is named, else the one that runs here, else one for this job alone."""

from __future__ import annotations

import importlib
import logging
import math
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import ray
from ray._common.utils import get_default_system_temp_dir
from ray._private import ray_constants
from ray._private.services import canonicalize_bootstrap_address
from ray.exceptions import AuthenticationError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from tune_cluster.cluster.driver_path import DriverPath
from tune_cluster.cluster.growth import Growth, Resources, read_growth
from tune_cluster.cluster.knock import knock
from tune_cluster.cluster.node_check import PACKAGES
from tune_cluster.cluster.own_group import own_group
from tune_cluster.execution.flags import Flags
from tune_cluster.storage.scratch import sweep

PRELOADED = ("ray.tune", "torch")
"""Modules that take long to import, and that every trial needs if the job has imported them."""

QUIET: dict[str, Any] = {
    "log_to_driver": False,
    "logging_level": logging.ERROR,
    "configure_logging": True,
}


RAY_ADDRESS = "RAY_ADDRESS"
"""The variable that names a cluster for every command of Ray's."""

HEAD = "node:__internal_head__"
"""A resource that the head has, and no other node."""

HEAD_SECONDS = 30.0
"""Until a head that does not answer counts as one without an autoscaler; an idle one takes 3."""


@dataclass(frozen=True)
class Cluster:
    """What the cluster has, and what it may come to have."""

    nodes: tuple[Resources, ...]
    """Of each node that is up."""
    growth: Growth = field(default_factory=Growth)
    """What an autoscaler starts when trials wait."""
    own: bool = False
    """Whether this job has started it, on this machine, for itself."""

    def slots(self, cpus: float, gpus: float) -> int:
        """How many trials of that size run at once, on the nodes that are up or on those that an
        autoscaler starts when trials wait.

        Raises:
            ValueError: not even one would ever fit, so that it would wait for ever.
        """

        def fits(node: Resources) -> int:
            return fitting(node, cpus, gpus)

        head = sum(fits(node) for node in self.nodes if HEAD in node)
        count = max(sum(map(fits, self.nodes)), head + self.growth.slots(fits))
        if count == 0:
            raise ValueError(self._why_not(cpus, gpus))
        return count

    def _why_not(self, cpus: float, gpus: float) -> str:
        """A trial of that size fits nowhere."""
        kinds = [node_type.resources for node_type in self.growth.types if node_type.resources]
        later = ""
        if self.growth.unknown():
            later = (
                f". Up to {self.growth.unknown()} nodes may still join, of a size that is known "
                "only then: see `ray status`, and start the study when they are up"
            )
        elif gpus > 0 and not any(node.get("GPU") for node in (*self.nodes, *kinds)):
            return (
                f"--gpus-per-trial {gpus:g}: the cluster has no GPU, and none that it may start. "
                "Give 0, or --address of a cluster that has"
            )
        bring = f", those that the autoscaler may start have {sizes(kinds)}" if kinds else ""
        return (
            f"a trial of {cpus:g} CPU and {gpus:g} GPU fits on no node: those that are up have "
            f"{sizes(self.nodes)}{bring}{later}"
        )


def fitting(node: Resources, cpus: float, gpus: float) -> int:
    """How many trials of that size run on a node at once."""
    per_kind = [node.get("CPU", 0.0) / cpus] if cpus else []
    if gpus:
        # A trial of 0.4 GPU can't be spread over two: 2 of them on each, not 5 on two.
        whole = int(1 / gpus + 1e-9) if gpus < 1 else 1 / gpus
        per_kind.append(node.get("GPU", 0.0) * whole)
    return int(min(per_kind) + 1e-9)


def sizes(nodes: Iterable[Resources]) -> str:
    """The different ones, in words."""
    found = {(node.get("CPU", 0.0), node.get("GPU", 0.0)) for node in nodes}
    return " or ".join(f"{cpus:g} CPU and {gpus:g} GPU" for cpus, gpus in sorted(found))


@contextmanager
def cluster(flags: Flags) -> Iterator[Cluster]:
    """Connects for as long as the context lasts.

    Args:
        flags: `address` of a running cluster; "local" starts one for this job; None finds one or
            starts one.

    Raises:
        ValueError: nothing answers at the address.
    """
    # Our own lines say what happens; warnings of Ray's would stand between them.
    logging.getLogger("ray").setLevel(logging.ERROR)
    if ray.is_initialized():
        # The script has called ray.init(), and may use Ray when the study has ended.
        check_connected(flags.address)
        yield seen(own=ray._private.worker._global_node.is_head())
        return
    address = running(flags.address)
    if address is None:
        start(flags)
    else:
        join(address, "--address " if flags.address is not None else f"{RAY_ADDRESS}=")
    try:
        yield seen(own=address is None)
    finally:
        ray.shutdown()
        sweep()


def seen(*, own: bool) -> Cluster:
    """The cluster that this process is connected to.

    Raises:
        ValueError: it has gone meanwhile.
    """
    try:
        nodes = tuple(dict(node["Resources"]) for node in ray.nodes() if node["Alive"])
        return Cluster(nodes, ask_head(), own=own)
    except (RayError, OSError, RuntimeError) as error:
        raise ValueError(f"the cluster has gone as the study began: {in_a_line(error)}") from None


def check_connected(address: str | None) -> None:
    """Refuses the address of another cluster than the one that this process is connected to.

    Raises:
        ValueError: the script has called ray.init() for another one.
    """
    if ray.util.client.ray.is_connected():
        raise ValueError(
            "the script has called ray.init() with ray://: a study runs on a machine of the "
            "cluster, as by `ray job submit`"
        )
    connected = ray.get_runtime_context().gcs_address
    if address not in (None, "local", "auto", connected):
        raise ValueError(
            f"--address {address}: the script has called ray.init(), and is connected to "
            f"{connected}: leave out one of them"
        )


def ask_head() -> Growth:
    """What an autoscaler may bring: the head knows, on which the driver need not be."""
    context = ray.get_runtime_context()
    up = [node for node in ray.nodes() if node["Alive"]]
    head = next((node["NodeID"] for node in up if HEAD in node["Resources"]), None)
    if head in (None, context.get_node_id()):
        return read_growth(context.gcs_address)
    there = NodeAffinitySchedulingStrategy(head, soft=False)
    task = ray.remote(num_cpus=0, scheduling_strategy=there)(read_growth)
    with suppress(RayError):
        return cast(Growth, ray.get(task.remote(context.gcs_address), timeout=HEAD_SECONDS))
    return Growth()


def running(address: str | None) -> str | None:
    """The cluster to join: the one that is named, by the flag or by RAY_ADDRESS, else one that runs
    on this machine for all. None where one is to be started: for "local", or where there is none.
    """
    named = address or os.environ.get(RAY_ADDRESS)
    if named:
        return None if named == "local" else named
    # As Ray itself finds it; "auto" would also join what another job has started for itself.
    found: str | None = canonicalize_bootstrap_address(None)
    if found is not None:
        try:
            knock(found)
        except (OSError, ValueError):
            # A cluster that was killed leaves its address in Ray's folder under /tmp.
            return None
    return found


def join(address: str, named: str = "--address ") -> None:
    """Joins a running cluster, which the code of this project travels to.

    Args:
        address: `host:port`, or "auto".
        named: what stands before it where a person has given it.

    Raises:
        ValueError: nothing answers there, or what does lets nobody in without the cluster's token,
            or has a Ray or Python of another version.
    """
    token = ""
    root = Path(__file__).parents[2]
    packages = [str(root / package) for package in PACKAGES]
    try:
        if address != "auto":
            knock(address)
            token = "; that which does may have another token than RAY_AUTH_TOKEN_PATH here"
        env = {"py_modules": packages}
        # Ray would look for one on 127.0.0.1, which another job has for itself, at the machine's
        # own address, and wait there for a minute.
        alone = loopback_only() if address.startswith("127.") else nullcontext()
        with alone:
            ray.init(address=address, runtime_env=env, job_config=DriverPath(), **QUIET)
    except OSError as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"{named}{address}: no cluster answers there ({reason}){token}") from None
    except AuthenticationError as error:
        raise ValueError(
            f"{named}{address}: {error.message}: give RAY_AUTH_TOKEN_PATH, the file of the "
            "cluster's token"
        ) from None
    except ValueError as error:
        submits = ", which `ray job submit` takes" if address.startswith("http") else ""
        raise ValueError(f"{named}{address}: {error}{submits}") from None
    except RuntimeError as error:
        # Versions differ: which, its lines say.
        reason = " ".join(str(error).split())
        raise ValueError(f"{named}{address}: {reason}") from None


def start(flags: Flags) -> None:
    """Starts a Ray for this job alone, on this machine: its processes find our code where we do.

    It starts a process for each of its CPUs at once, which a trial takes over as it is. Those that
    trials will take are told to import meanwhile what each of them needs: 0.3 s from there to the
    first trial instead of 3 to 4.

    Raises:
        ValueError: this machine does not let it start.
    """
    cpus = None
    if flags.max_concurrent is not None and flags.gpus_per_trial == 0:
        wanted = math.ceil(flags.max_concurrent * flags.cpus_per_trial)
        cpus = wanted if wanted < (os.cpu_count() or 1) else None
    with suppress(ImportError, AttributeError):
        # Tune gives the process of each trial variables (one, for Lightning), and so none that
        # stands ready would do. Here all inherit them.
        class_cache = importlib.import_module("ray.tune.execution.class_cache")
        os.environ.update(class_cache.DEFAULT_ENV_VARS)
        class_cache.DEFAULT_ENV_VARS.clear()
    each_has_a_trial = flags.cpus_per_trial <= 1 and flags.gpus_per_trial == 0
    preloaded = [name for name in PRELOADED if name in sys.modules] if each_has_a_trial else []
    try:
        with loopback_only(), own_group():
            ray.init(
                address="local",
                num_cpus=cpus,
                # 200 MB and 11 processes that nobody would look at.
                include_dashboard=False,
                job_config=DriverPath(),
                _system_config={"preload_python_modules": preloaded},
                **QUIET,
            )
    except Exception as error:
        # A folder without room, permission or short name, a process that was killed: of any type.
        ray.shutdown()
        raise ValueError(why_not_started(error)) from error
    with suppress(OSError):
        # Ray makes it readable for all on this machine, who could then run what they like as we.
        Path("~/.ray/auth_token").expanduser().chmod(0o600)


def why_not_started(error: Exception) -> str:
    """In a line, with what to do."""
    folder = get_default_system_temp_dir()
    name = next((name for name in ("RAY_TMPDIR", "TMPDIR") if os.environ.get(name)), "")
    where = f"{name} {folder}" if name else folder
    if "AF_UNIX" in str(error):
        return (
            f"{where} is too long for the sockets of Ray, whose paths have at most 107 characters: "
            "set RAY_TMPDIR to a short folder, such as /tmp"
        )
    if isinstance(error, OSError):
        return f"Ray cannot be started, whose files lie in {where}: {in_a_line(error)}"
    return f"Ray cannot be started on this machine: {in_a_line(error)}"


def in_a_line(error: Exception) -> str:
    """What Ray says, without its pages of advice."""
    return str(error).strip().partition("\n")[0] or type(error).__name__


@contextmanager
def loopback_only() -> Iterator[None]:
    """A Ray that is started meanwhile listens on 127.0.0.1 alone, and no other machine can join it.

    By itself it listens on all interfaces, and replaces a `_node_ip_address` of 127.0.0.1 by one
    that can be reached; only on Windows and macOS, where no cluster is meant, it does not.
    """
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before
