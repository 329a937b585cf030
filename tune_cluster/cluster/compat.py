"""Every private name of Ray itself: no other file imports or patches one.

Written for Ray 2.60. Each name has its reason here, and tests/cluster/test_compat.py shows what
breaks when Ray changes it. Those of Ray Tune are in `tune_cluster.execution.ray_tune.compat`.
"""

from __future__ import annotations

import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import ray
from ray._common.utils import get_default_system_temp_dir
from ray._private import ray_constants, services
from ray._private.state import available_resources_per_node
from ray.experimental.internal_kv import (
    _internal_kv_del,
    _internal_kv_exists,
    _internal_kv_get,
    _internal_kv_list,
    _internal_kv_put,
)
from ray.job_config import JobConfig

HEAD = "node:__internal_head__"
"""Resource that only the head has."""

NODE_ID = "ray.io/node-id"
"""Label of a node for Ray's scheduler."""

LARGEST_FUNCTION: int = ray_constants.FUNCTION_SIZE_ERROR_THRESHOLD
"""Bytes of a pickled function or class above which Ray fails when it is first called."""

# Names to start and find Ray.


@contextmanager
def loopback_only() -> Iterator[None]:
    """Let a Ray that is started in the `with` block listen on 127.0.0.1 alone, closed to others.

    By default it listens on all interfaces, and replaces a `_node_ip_address` of 127.0.0.1 by one
    that can be reached; only on Windows and macOS, where no cluster is intended, it does not. For
    the same reason it looks for a Ray on 127.0.0.1 at the machine's own address, for a minute.
    """
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


@contextmanager
def own_process_group() -> Iterator[None]:
    """Start a Ray in the `with` block in a session of its own.

    A signal that ends a job often goes to its whole process group: from `timeout`, a shell's `kill
    -- -PGID` or a terminal that closes. Ray's processes would end at once and take the driver with
    them, while it is still ending its trials in order. They still die with the driver, by the
    kernel's signal for the death of a parent.
    """
    patched: Any = services
    before = patched.ConsolePopen
    patched.ConsolePopen = partial(before, start_new_session=True)
    try:
        yield
    finally:
        patched.ConsolePopen = before


START_SECONDS = 180.0
"""Time for which a Ray that is started waits for its own node."""


@contextmanager
def patient() -> Iterator[None]:
    """Let a Ray that is started in the `with` block wait longer for its own node.

    By default it gives up after 30 s, in which a busy machine of two cores starts none.
    """
    before = services.get_node
    deadline = time.monotonic() + START_SECONDS

    def found_in_time(*node: Any) -> Any:
        while True:
            try:
                return before(*node)
            except RuntimeError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.1)

    patched: Any = services
    patched.get_node = found_in_time
    try:
        yield
    finally:
        patched.get_node = before


IDLE_MILLISECONDS = 600_000
"""Time for which a process that Ray started in advance waits for its first trial."""


def started_in_advance(modules: list[str]) -> dict[str, Any]:
    """Return the argument of `ray.init` that makes idle processes import modules in advance, and
    keeps them until trials use them.

    Ray ends a process that has been idle for a second as soon as there are more than free CPUs. The
    placement group of a trial takes its CPU before the trial starts, so on a busy machine the
    processes were ended and started again, with all their imports.
    """
    return {
        "_system_config": {
            "preload_python_modules": modules,
            "idle_worker_killing_time_threshold_ms": IDLE_MILLISECONDS,
        }
    }


class DriverPath(JobConfig):
    """Job settings that give all processes the driver's search path.

    By default Ray puts the working directory first, which the driver of a script that is started by
    its path does not search: a file there with the name of one of our packages, of torch or of a
    standard module would be imported by the processes of the trials instead.
    """

    def _get_proto_job_config(self) -> Any:
        ours = first_looked_into()
        kept = [path for path in ours if path in self._py_driver_sys_path]
        # The last of them comes first in the result.
        self._py_driver_sys_path[:] = reversed(kept)
        return super()._get_proto_job_config()


def first_looked_into() -> list[str]:
    """Return the folders that this process searches before Python's own."""
    # Not resolved, since Ray uses their spelling.
    folders = [str(Path.cwd() / path) for path in sys.path]
    own = sysconfig.get_path("stdlib")
    return folders[: folders.index(own)] if own in folders else folders


def found_on_this_machine() -> str | None:
    """Return the address of a cluster that was started on this machine for all users, from its
    files in Ray's folder; it may have ended. `ray.init(address="auto")` would join another job's
    own."""
    # Ray's annotation lacks None, its own default for an address.
    find: Callable[[str | None], str | None] = cast(Any, services.canonicalize_bootstrap_address)
    return find(None)


def temporary_folder() -> str:
    """Return the folder in which Ray keeps its sockets and logs."""
    return str(get_default_system_temp_dir())


def client_is_connected() -> bool:
    """Return whether this process is a client of a cluster, by `ray://`, and not a driver in it."""
    return bool(ray.util.client.ray.is_connected())


# Names for the Ray that this process is connected to.


def started_here() -> bool:
    """Return whether this process has started the Ray that it is connected to."""
    node: Any = ray._private.worker._global_node
    return node is not None and bool(node.is_head())


def ended_process() -> str:
    """Return the name of an ended process of the Ray that this process has started; empty if none
    has ended. Ray itself would end this process later, without advice on how to resume."""
    if not started_here():
        return ""
    node: Any = ray._private.worker._global_node
    processes = node.all_processes
    kinds = ("gcs_server", "raylet")
    found = [(kind, info.process) for kind in kinds for info in processes.get(kind, [])]
    return next((kind for kind, process in found if process.poll() is not None), "")


def free_resources_by_node() -> dict[str, Mapping[str, float]]:
    """Return the free resources of each node, by its id: the public function adds them up."""
    return dict(available_resources_per_node())


def raycluster(namespace: str, name: str) -> dict[str, Any]:
    """Return the autoscaler's configuration of a cluster on Kubernetes, as `ray up` would have it.

    Raises:
        OSError: this pod has no right to ask, such as one of a cluster that does not scale.
    """
    # Imported here, since they read the environment on import.
    from ray.autoscaler._private.kuberay import autoscaling_config, node_provider

    found = node_provider.KubernetesHttpApiClient(namespace).get(f"rayclusters/{name}")
    return dict(autoscaling_config._derive_autoscaling_config_from_ray_cr(found))


class HeadStore:
    """A key-value store on the cluster's head, for a few bytes between processes.

    It works without the storage, and a call takes less than a millisecond.

    Args:
        namespace: separates the keys from all others.
    """

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace

    def put(self, key: str, value: str) -> None:
        """Store a text."""
        _internal_kv_put(key, value, namespace=self._namespace)

    def has(self, key: str) -> bool:
        """Return whether the key exists."""
        return bool(_internal_kv_exists(key, namespace=self._namespace))

    def take(self, prefix: str) -> list[str]:
        """Return the texts under all keys with this prefix, in order, and delete them."""
        texts = []
        for key in sorted(_internal_kv_list(prefix, namespace=self._namespace)):
            text = _internal_kv_get(key, namespace=self._namespace)
            _internal_kv_del(key, namespace=self._namespace)
            texts.append(text.decode())
        return texts
