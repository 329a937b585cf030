"""Memory of a study with two trials at once: of one trial's process, and of all processes.

Claim: a trial's process stays under 900 MB (torch and Ray alone are 700).

Method: the first job on Fashion-MNIST, MLP, two trials at a time, read from /proc every half
second. A trial's process counts with its resident memory, including pages that it shares with
others; the sum over all processes of the job (driver, Ray, trials) counts a shared page once.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from table import Row, run_benchmark

JOB = Path(__file__).parents[1] / "tune_jobs" / "asha_lr_batch.py"
DATA = Path(__file__).parents[1] / "data"
MEGABYTE = 1e6


def field(path: Path, name: str) -> float:
    """Return a field in kB of a file like /proc/7/status, in bytes; 0 if the process has ended."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return 0.0
    values = (line.split()[1] for line in lines if line.startswith(f"{name}:"))
    return float(next(values, 0)) * 1024


def descendants(root: int) -> list[Path]:
    """Return the /proc folders of a process and of its descendants."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            # The name, in brackets, may contain spaces.
            parents[int(folder.name)] = int(
                (folder / "stat").read_text().rsplit(")", 1)[1].split()[1]
            )
        except OSError:
            continue
    found = [root]
    for process in found:
        found += [child for child, parent in parents.items() if parent == process]
    return [Path("/proc", str(process)) for process in found]


def is_trial(folder: Path) -> bool:
    """Return whether it is a worker of Ray that has a trial."""
    try:
        title = (folder / "cmdline").read_bytes()
    except OSError:
        return False
    return title.startswith(b"ray::") and not title.startswith(b"ray::IDLE")


def measure(quick: bool) -> list[Row]:
    """Run the job and measure it."""
    trials, epochs = (2, 1) if quick else (6, 3)
    one = everything = 0.0
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(JOB), "--address", "local", "--data-dir", str(DATA)]
        command += ["--trials", str(trials), "--max-epochs", str(epochs), "--storage-path", folder]
        job = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        while job.poll() is None:
            processes = descendants(job.pid)
            running = [process for process in processes if is_trial(process)]
            one = max([one, *(field(process / "status", "VmHWM") for process in running)])
            together = sum(field(process / "smaps_rollup", "Pss") for process in processes)
            everything = max(everything, together)
            time.sleep(0.5)
    if job.returncode or not one:
        raise RuntimeError("the job failed, or no trial was seen: the figures would mean nothing")
    rows = [
        ("one_trial", "peak_resident", one),
        ("two_trials_and_all_else", "peak_together", everything),
    ]
    return [
        Row(benchmark="memory", case=case, metric=metric, value=value / MEGABYTE, unit="MB")
        for case, metric, value in rows
    ]


if __name__ == "__main__":
    run_benchmark(measure, __doc__ or "")
