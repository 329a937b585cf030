"""A trial's working directory: that in which the job was started, where its node has it.

Tune would take a folder of its own for each trial, in which `./data` never was, and which a study
deletes. Who wants that sets RAY_CHDIR_TO_TRIAL_DIR=1, as for Tune, where the job is started.
"""

from __future__ import annotations

import os
from pathlib import Path

from ray.train.constants import RAY_CHDIR_TO_TRIAL_DIR

TUNE_ORIG_WORKING_DIR = "TUNE_ORIG_WORKING_DIR"


def of_this_job() -> str | None:
    """Where the trials of a job that is started here run; None where Tune decides that."""
    by_tune = os.environ.get(RAY_CHDIR_TO_TRIAL_DIR, "0") == "1"
    return None if by_tune else str(Path.cwd())


def enter(directory: str | None) -> None:
    """Makes it the working directory of this process, and keeps Tune from changing that."""
    if directory is None:
        return
    os.environ[RAY_CHDIR_TO_TRIAL_DIR] = "0"
    if Path(directory).is_dir():
        os.environ[TUNE_ORIG_WORKING_DIR] = directory
        os.chdir(directory)


def sought_in(error: BaseException) -> str:
    """Where a file of a relative path was looked for in vain; else nothing."""
    name = error.filename if isinstance(error, FileNotFoundError) else None
    relative = isinstance(name, str) and not Path(name).is_absolute()
    return f" (in {Path.cwd()})" if relative else ""
