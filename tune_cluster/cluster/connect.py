"""Connection to a cluster: the one given, else one running on this machine, else a new one."""

from __future__ import annotations

import logging
import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import AuthenticationError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from tune_cluster.cluster import compat
from tune_cluster.cluster.capacity import Autoscaler, Cluster, nodes_up, read_autoscaler
from tune_cluster.cluster.compat import HEAD
from tune_cluster.cluster.facts import PACKAGES
from tune_cluster.cluster.head import check_reachable
from tune_cluster.storage.store import sweep

PRELOADED = ("ray.tune", "torch")
"""Modules that take long to import, and that every trial needs if the job has imported them."""

QUIET: dict[str, Any] = {
    "log_to_driver": False,
    "logging_level": logging.ERROR,
    "configure_logging": True,
}

RAY_ADDRESS = "RAY_ADDRESS"
"""Environment variable that names a cluster for every command of Ray."""

HEAD_SECONDS = 30.0
"""Seconds after which a head that does not answer counts as one without an autoscaler; an idle one
takes 3."""


@contextmanager
def connected(
    address: str | None,
    *,
    cpus_per_trial: float = 1.0,
    gpus_per_trial: float = 0.0,
    max_concurrent: int | None = None,
) -> Iterator[Cluster]:
    """Connect to a cluster within the `with` block.

    Args:
        address: address of a running cluster; "local" starts one for this job; None finds one or
            starts one.
        cpus_per_trial: CPUs of a trial, for a new cluster.
        gpus_per_trial: GPUs of a trial, for a new cluster.
        max_concurrent: trials at once, for a new cluster; None for as many as fit.

    Raises:
        ValueError: no cluster answers at the address.
    """
    # Our own lines report the progress; Ray's warnings would appear between them.
    logging.getLogger("ray").setLevel(logging.ERROR)
    if ray.is_initialized():
        # The script has called ray.init(), and may use Ray after the study.
        check_connected(address)
        yield seen(own=compat.started_here())
        return
    found = running(address)
    if found is None:
        start(cpus_per_trial, gpus_per_trial, max_concurrent)
    else:
        join(found, "--address " if address is not None else f"{RAY_ADDRESS}=")
    try:
        yield seen(own=found is None)
    finally:
        ray.shutdown()
        sweep()


def seen(*, own: bool) -> Cluster:
    """Return the cluster that this process is connected to.

    Raises:
        ValueError: it has ended meanwhile.
    """
    try:
        nodes = nodes_up()
        head = next((node for node, has in nodes.items() if HEAD in has), None)
        return Cluster(tuple(nodes.values()), ask_head(head), own=own)
    except (RayError, OSError, RuntimeError) as error:
        raise ValueError(f"the cluster was lost as the study began: {in_a_line(error)}") from None


def check_connected(address: str | None) -> None:
    """Raise a `ValueError` if the script has called ray.init() for another cluster, or as a
    client."""
    if compat.client_is_connected():
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


def ask_head(head: str | None) -> Autoscaler:
    """Return the nodes that an autoscaler may start, from the head, which may be another machine.

    Args:
        head: id of the head's node; None if Ray names none.
    """
    context = ray.get_runtime_context()
    if head in (None, context.get_node_id()):
        return read_autoscaler(context.gcs_address)
    there = NodeAffinitySchedulingStrategy(head, soft=False)
    task = ray.remote(read_autoscaler).options(num_cpus=0, scheduling_strategy=there)
    with suppress(RayError):
        return ray.get(task.remote(context.gcs_address), timeout=HEAD_SECONDS)
    return Autoscaler()


def running(address: str | None) -> str | None:
    """Return the address of the cluster to join: the one given by the flag or by RAY_ADDRESS, else
    one that runs on this machine for all users. Return None if one is to be started: for "local",
    or if there is none.
    """
    named = address or os.environ.get(RAY_ADDRESS)
    if named:
        return None if named == "local" else named
    # As Ray itself finds it; "auto" would also join a cluster that another job has started for
    # itself.
    found = compat.found_on_this_machine()
    if found is not None:
        try:
            check_reachable(found)
        except (OSError, ValueError):
            # A killed cluster leaves its address in Ray's folder under /tmp.
            return None
    return found


def join(address: str, named: str = "--address ") -> None:
    """Join a running cluster; the code of this project is sent to it.

    Args:
        address: `host:port`, or "auto".
        named: prefix of the address in error messages: the flag, if the user gave it.

    Raises:
        ValueError: no cluster answers there, or it requires another token, or has another version
            of Ray or Python.
    """
    token = ""
    root = Path(__file__).parents[2]
    packages = [str(root / package) for package in PACKAGES]
    try:
        if address != "auto":
            check_reachable(address)
            token = "; the one there may have another token than RAY_AUTH_TOKEN_PATH here"
        env = {"py_modules": packages}
        listening = compat.loopback_only() if address.startswith("127.") else nullcontext()
        with listening:
            ray.init(address=address, runtime_env=env, job_config=compat.DriverPath(), **QUIET)
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
        # Versions differ; the message has both.
        reason = " ".join(str(error).split())
        raise ValueError(f"{named}{address}: {reason}") from None


def start(cpus_per_trial: float, gpus_per_trial: float, max_concurrent: int | None) -> None:
    """Start a Ray for this job alone, on this machine; its processes find the code as we do.

    It starts a process for each of its CPUs at once, which trials then use. Those for the trials
    import in advance what each of them needs: the first trial starts after 0.3 s instead of 3 to 4.

    Args:
        cpus_per_trial: CPUs of a trial.
        gpus_per_trial: GPUs of a trial.
        max_concurrent: trials at once; None for as many as fit.

    Raises:
        ValueError: Ray cannot be started on this machine.
    """
    # Those that Slurm, taskset or a container has bound this process to; Ray counts all.
    cpus = len(os.sched_getaffinity(0))
    if max_concurrent is not None and gpus_per_trial == 0:
        cpus = min(cpus, math.ceil(max_concurrent * cpus_per_trial))
    each_has_a_trial = cpus_per_trial <= 1 and gpus_per_trial == 0
    imported = [name for name in PRELOADED if name in sys.modules]
    in_advance = compat.started_in_advance(imported) if each_has_a_trial else {}
    try:
        with compat.loopback_only(), compat.own_process_group(), compat.patient():
            ray.init(
                address="local",
                # None lets Ray look for the limit of a container.
                num_cpus=cpus if cpus < (os.cpu_count() or 1) else None,
                # It would take 200 MB and 11 processes that nobody uses.
                include_dashboard=False,
                job_config=compat.DriverPath(),
                **in_advance,
                **QUIET,
            )
    except Exception as error:
        # No space, no permission, a long path or a killed process raise errors of any type.
        ray.shutdown()
        raise ValueError(why_not_started(error)) from error
    with suppress(OSError):
        # Ray makes it readable for all users of this machine, who could then run code as this user.
        Path("~/.ray/auth_token").expanduser().chmod(0o600)


def why_not_started(error: Exception) -> str:
    """Return a line on why Ray cannot be started, with what to do."""
    folder = compat.temporary_folder()
    name = next((name for name in ("RAY_TMPDIR", "TMPDIR") if os.environ.get(name)), "")
    where = f"{name} {folder}" if name else folder
    if "AF_UNIX" in str(error):
        return (
            f"{where} is too long for the sockets of Ray, whose paths have at most 107 characters: "
            "set RAY_TMPDIR to a short folder, such as /tmp"
        )
    if isinstance(error, OSError):
        return f"Ray cannot be started, whose files are in {where}: {in_a_line(error)}"
    return f"Ray cannot be started on this machine: {in_a_line(error)}"


def in_a_line(error: Exception) -> str:
    """Return Ray's message without its pages of advice."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
