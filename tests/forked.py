"""Jobs in processes that are forked from one that has imported their libraries.

The imports of torch and Ray are half of the CPU time of a small study's job.
"""

import atexit
import multiprocessing
import os
import runpy
import subprocess
import sys
import threading
from multiprocessing import forkserver
from multiprocessing.reduction import DupFd
from pathlib import Path

LIBRARIES = (
    "optuna",
    "pandas",
    "ray.tune",
    "scipy.stats",
    "sklearn.datasets",
    "sklearn.linear_model",
    "torch.utils.tensorboard",
    "trainables.trainable",
    "tune_cluster.execution.launcher",
)
"""Imported once. A job imports the others itself."""

OF_A_TEST = ("COLUMNS", "PYTEST_CURRENT_TEST")
"""Environment variables that none of them reads when it is imported."""

_forking = multiprocessing.get_context("forkserver")
_forking.set_forkserver_preload(list(LIBRARIES))
_imported_with: dict[str, str] = {}


def can_fork(environment):
    """Return whether a job with these environment variables may be forked: whether its libraries
    were imported with the same. The first job decides with which."""
    read = {name: value for name, value in environment.items() if name not in OF_A_TEST}
    if not _imported_with:
        _imported_with.update(read)
        forkserver.ensure_running()
    return read == _imported_with


class ForkedJob:
    """A job with the interface of `subprocess.Popen`.

    Args:
        words: what `python` is given: a script, or `-m` and a module, with arguments.
        directory: working directory.
        environment: environment variables.
    """

    def __init__(self, words, directory, environment):
        output, written = os.pipe()
        self.stdout = os.fdopen(output, encoding="utf-8")
        self._process = _forking.Process(
            target=_run, args=(_Inherited(written), [*map(str, words)], directory, environment)
        )
        self._process.start()
        os.close(written)
        self.pid = self._process.pid

    @property
    def returncode(self):
        return self._process.exitcode

    def poll(self):
        return self._process.exitcode

    def wait(self, timeout=None):
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout)
        return self.returncode

    def communicate(self, timeout=None):
        """Return the output and None, when the job has ended."""
        read = []
        reader = threading.Thread(target=lambda: read.append(self.stdout.read()), daemon=True)
        reader.start()
        reader.join(timeout)
        if reader.is_alive():
            raise subprocess.TimeoutExpired(self._process.name, timeout)
        self.wait(timeout)
        return read[0], None

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self):
        self._process.terminate()

    def kill(self):
        self._process.kill()


class _Inherited:
    """A file descriptor that the forked process gets."""

    def __init__(self, descriptor):
        self._descriptor = descriptor

    def __reduce__(self):
        return _detached, (DupFd(self._descriptor),)


def _detached(duplicate):
    return duplicate.detach()


def _run(output, words, directory, environment):
    """Do what `python` does with these words."""
    for stream in (1, 2):
        os.dup2(output, stream)
    os.close(output)
    # Those that it has inherited may be of a file or a terminal.
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = open(  # noqa: SIM115
        2, "w", buffering=1, errors="backslashreplace", closefd=False
    )
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    script, *arguments = words
    try:
        if script == "-m":
            sys.argv = arguments
            sys.path[0] = str(directory)
            runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
        else:
            sys.argv = words
            sys.path[0] = str(Path(script).parent)
            runpy.run_path(script, run_name="__main__")
    finally:
        threading._shutdown()  # type: ignore[attr-defined]
        # multiprocessing ends its processes without it, and Ray's would not be shut down.
        atexit._run_exitfuncs()
