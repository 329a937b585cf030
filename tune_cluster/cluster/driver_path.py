"""Where the processes of a job look for modules: where its driver does, and nowhere else."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path
from typing import Any

from ray.job_config import JobConfig


class DriverPath(JobConfig):
    """The settings of a job whose processes have the driver's search path.

    By itself Ray puts the working directory before all that they find, which the driver of a script
    that is started by its path does not look into at all: a file there that is called as one of our
    packages, as torch or as a module of Python's own was what the processes of the trials imported.
    """

    def _get_proto_job_config(self) -> Any:
        ours = first_looked_into()
        kept = [path for path in ours if path in self._py_driver_sys_path]
        # The last of them is put before the others.
        self._py_driver_sys_path[:] = reversed(kept)
        return super()._get_proto_job_config()


def first_looked_into() -> list[str]:
    """The folders that this process looks into before Python's own."""
    # Not resolved: Ray names them as they are spelled.
    folders = [str(Path.cwd() / path) for path in sys.path]
    own = sysconfig.get_path("stdlib")
    return folders[: folders.index(own)] if own in folders else folders
