"""Cost of a result for the driver, at the beginning and after 10,000 trials.

Claim: at least 200 results a second in the first and in the last tenth of 10,000 do-nothing trials
of 4 epochs, at most 1 GB of the driver's memory, and at most 60 s for a resume with one more trial.

Method: a job whose trials do nothing, two at a time on two cores, with reused processes as in any
study of ours; all else is as for any job: journal, curves, checkpoint retention, summary. The
driver is a process of its own, started as a user starts it. Results per second are those of the
journal by their times, over each tenth of the results; the memory is the largest resident memory of
the driver (VmHWM, Linux), over both runs. The resume is its whole process, from import to last
line. `--quick` has 1,000 trials, `--trials N` any number.
"""

import itertools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from table import Row, run_benchmark

SCRIPT = Path(__file__).parent / "peer_scripts" / "do_nothing.py"

SECONDS_BETWEEN_LOOKS = 0.5
"""Seconds between two checks of the driver's memory."""


def measure(quick: bool, *, trials: Sequence[str]) -> list[Row]:
    """Measure one study, and its resume with one more trial."""
    count = 1000 if quick else int(trials[0])
    with tempfile.TemporaryDirectory(dir="/tmp", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        # The figures are of the driver: `tune-cluster report` has its own.
        new = ["--address", "local", "--max-concurrent", "2", "--storage-path", name, "--yes"]
        new += ["--no-report"]
        took, memory = driver([*new, "--trials", str(count), "--name", "study"], folder)
        tenths = rates(folder / "study" / "journal.jsonl")
        resume = ["--resume", str(folder / "study"), "--trials", str(count + 1), "--yes"]
        resumed_in, memory_of_resume = driver(resume, folder)
    rows = [
        *((f"tenth_{n}", "results_per_second", rate, "1/s") for n, rate in enumerate(tenths, 1)),
        ("study", "seconds", took, "s"),
        ("study", "driver_peak", memory / 1e6, "MB"),
        ("resume_with_one_more", "seconds", resumed_in, "s"),
        ("resume_with_one_more", "driver_peak", memory_of_resume / 1e6, "MB"),
    ]
    return [
        Row(benchmark="scaling", case=f"{case}_of_{count}", metric=metric, value=value, unit=unit)
        for case, metric, value, unit in rows
    ]


def driver(options: Sequence[str], folder: Path) -> tuple[float, int]:
    """Run the job; return its seconds, and the largest resident memory of its process in bytes.

    Raises:
        RuntimeError: it has failed; the message has its last lines.
    """
    log, peak = folder / "log.txt", 0
    with log.open("w") as file:
        began = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, str(SCRIPT), *options], stdout=file, stderr=subprocess.STDOUT
        )
        while process.poll() is None:
            peak = max(peak, peak_memory(process.pid))
            time.sleep(SECONDS_BETWEEN_LOOKS)
        seconds = time.perf_counter() - began
    if process.returncode:
        raise RuntimeError(f"the job failed:\n{log.read_text()[-3000:]}")
    return seconds, peak


def peak_memory(process: int) -> int:
    """Return the largest resident memory of a process in bytes; 0 once it has ended."""
    status = Path(f"/proc/{process}/status").read_text()
    found = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(found[0]) * 1024 if found else 0


def rates(journal: Path) -> list[float]:
    """Return the results per second in each tenth of a study's results."""
    events = map(json.loads, journal.read_text().splitlines())
    times = [event["time"] for event in events if event["event"] == "result"]
    size = len(times) // 10
    edges = [times[tenth * size] for tenth in range(10)] + [times[-1]]
    return [size / (end - begin) for begin, end in itertools.pairwise(edges)]


if __name__ == "__main__":
    run_benchmark(measure, __doc__ or "", trials=["10000"])
