"""A cluster of several nodes on one machine, a study on it, and faults of both."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from ray.cluster_utils import Cluster

from tests.conftest import JOB, journal_of

SMALL = {"object_store_memory": 100 * 1024**2, "include_dashboard": False}

PATIENCE = 300.0
"""Seconds that anything here may take before it counts as never."""


class Rack:
    """A head on which no trial fits, and nodes of one CPU each."""

    def __init__(self, nodes=2):
        self.wanted = nodes
        self.start()

    def start(self):
        self.cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **SMALL})
        self.mend()

    @property
    def address(self):
        return self.cluster.address

    def add_node(self):
        self.cluster.add_node(num_cpus=1, object_store_memory=SMALL["object_store_memory"])

    def mend(self):
        """Restart nodes up to the original number."""
        while len(self.cluster.worker_nodes) < self.wanted:
            self.add_node()

    def trials(self):
        """The processes that train a trial, each with its node."""
        return [
            (pid, node)
            for node in self.cluster.worker_nodes
            for pid in children(node.all_processes["raylet"][0].process.pid)
            if trains(pid)
        ]

    def trial(self):
        """One of them, as soon as there is one: process id and node."""
        return wait_for(self.trials)[0]

    def kill_process(self, pid):
        """kill -9, of a process that may have ended."""
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def kill_node(self, node):
        """kill -9 of all its processes."""
        self.cluster.remove_node(node, allow_graceful=False)

    def kill_head(self):
        """kill -9 of all processes of the head."""
        self.cluster.remove_node(self.cluster.head_node, allow_graceful=False)

    def close(self):
        self.cluster.shutdown()


class Driver:
    """A job in a process of its own, in its own session as one that a shell has started.

    Args:
        folder: to run in; its output is `folder/output`.
        before: words before the command, such as nohup.
    """

    def __init__(self, folder, *arguments, address, script=JOB, before=()):
        self.folder = Path(folder)
        with (self.folder / "output").open("a") as output:
            self.process = subprocess.Popen(
                [*before, sys.executable, str(script), "--address", address, *arguments],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, "COLUMNS": "200"},
                start_new_session=True,
            )

    @property
    def output(self):
        return (self.folder / "output").read_text()

    def wait_for_lines(self, study, lines):
        """Wait until the study's journal has that many, while the driver runs."""
        path = study / "journal.jsonl"
        self.wait_for(lambda: path.exists() and path.read_bytes().count(b"\n") >= lines)

    def wait_for(self, there):
        """Return the first true result of `there()`, while the driver runs."""

        def there_or_ended():
            running = self.process.poll() is None
            found = there()
            assert found or running, self.output
            return found

        return wait_for(there_or_ended)

    def ended(self):
        """Its exit code, once it has ended."""
        return self.process.wait(timeout=PATIENCE)

    def kill(self, number=signal.SIGKILL):
        self.process.send_signal(number)


def wait_for(there):
    """Return the first true result of `there()`."""
    deadline = time.monotonic() + PATIENCE
    while not (found := there()):
        assert time.monotonic() < deadline, "it has not come"
        time.sleep(0.002)
    return found


def children(pid):
    """The process ids of the children of a process; none of one that has ended."""
    try:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(child) for child in listed.split()]


def descendants(pid):
    """Return its processes, including children."""
    found = children(pid)
    return [*found, *(each for child in found for each in descendants(child))]


def trains(pid):
    """Return whether a process trains an epoch."""
    return title_of(pid).startswith(b"ray::ResourceTrainable.train")


def title_of(pid):
    """The command line of a process; empty of one that has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def lines_of(study):
    """Return the number of lines of a study's journal."""
    return len(journal_of(study))
