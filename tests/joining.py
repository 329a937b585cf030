"""Nodes that join a cluster of this machine as a person has them join: by `ray start`."""

import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

SMALL = {"object_store_memory": 100 * 1024**2, "include_dashboard": False}
"""Arguments for the head of a `ray.cluster_utils.Cluster`."""

RAY = Path(sys.executable).with_name("ray")


def own_mounts():
    """Skips a test where no process can be given mounts of its own."""
    tried = [shutil.which("unshare") or "false", "--mount", "true"]
    if subprocess.run(tried, capture_output=True, check=False).returncode:
        pytest.skip("needs root, and unshare of util-linux")


def up(cluster):
    """The ids of the nodes of a `Cluster`."""
    return {node["NodeID"] for node in cluster.global_state.node_table() if node["Alive"]}


@contextmanager
def joined(cluster, *, cpus=1, hidden=None, environment=None):
    """A node more in `cluster`, for as long as the context lasts; the start of its id.

    Args:
        cluster: a `ray.cluster_utils.Cluster`.
        cpus: that it has.
        hidden: a folder over which it has an empty one of its own, as if it shared none.
        environment: variables that it has beside those of this process.
    """
    start = [str(RAY), "start", "--address", cluster.address, "--num-cpus", str(cpus), "--block"]
    start += ["--object-store-memory", str(SMALL["object_store_memory"])]
    if hidden is not None:
        mounted = 'mount -t tmpfs tmpfs "$0" && exec "$@"'
        start = ["unshare", "--mount", "sh", "-c", mounted, str(hidden), *start]
    before = up(cluster)
    process = subprocess.Popen(
        start,
        # At SIGTERM it would wait 30 s for the trials that it has.
        env={**os.environ, "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0", **(environment or {})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while not up(cluster) - before:
            assert process.poll() is None, "the node has ended"
            assert time.monotonic() < deadline, "the node has not joined"
            time.sleep(0.2)
        (node,) = up(cluster) - before
        yield node[:8]
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            # The test's own messages come first.
            process.kill()
            process.wait()
