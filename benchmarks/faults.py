"""Cost of each fault: trials lost, epochs repeated, seconds until the study continues.

Claim: whatever is killed, no trial is lost, and no epoch is trained twice except the one in
progress.

Method: a study of 3 trials of 8 epochs of half a second, one trial at a time, on a head without
CPUs and two nodes of one CPU each, all on this machine; each fault comes in the middle of the
second trial. Kills use signal 9. A lost driver is resumed at once, and a lost head is restarted at
once, as a person or a service would. Storage is full, or read-only, for 20 s, on a file system of
its own, which requires root. The seconds are the longest time without a result from the fault on,
minus an epoch's. All values are equal, so that the best checkpoint is the first: a truncated one
costs the epochs since then.
"""

import itertools
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from table import Row, run_benchmark

HERE = Path(__file__).parent
# The faults are the same as in the tests.
sys.path.insert(0, str(HERE.parent))

from counted_epochs import BEGUN, SECONDS  # noqa: E402

from tests.conftest import journal_of  # noqa: E402
from tests.faults.rack import Driver, Rack  # noqa: E402
from tests.mounts import full, mounted, read_only  # noqa: E402

SCRIPT = HERE / "counted_epochs.py"
TRIALS, EPOCHS = 3, 8
MIDDLE = 1.5
"""Number of completed trials, with fractions, at the fault."""


def resumed(driver: Driver, rack: Rack) -> Driver:
    """Resume the study of a lost driver."""
    driver.process.wait()
    study = str(study_of(driver))
    return Driver(driver.folder, "--resume", study, address=rack.address, script=SCRIPT)


def process(rack: Rack, driver: Driver) -> Driver:
    """Kill the process of the trial."""
    rack.kill_process(rack.trial()[0])
    return driver


def node(rack: Rack, driver: Driver) -> Driver:
    """Kill the node of the trial."""
    rack.kill_node(rack.trial()[1])
    return driver


def joining(rack: Rack, driver: Driver) -> Driver:
    """Let a node join."""
    rack.add_node()
    return driver


def killed_driver(rack: Rack, driver: Driver) -> Driver:
    """Kill the driver."""
    driver.kill(signal.SIGKILL)
    return resumed(driver, rack)


def sigterm(rack: Rack, driver: Driver) -> Driver:
    """Ask the driver to end."""
    driver.kill(signal.SIGTERM)
    return resumed(driver, rack)


def laptop(rack: Rack, driver: Driver) -> Driver:
    """Close the terminal from which a job was submitted under nohup."""
    driver.kill(signal.SIGHUP)
    return driver


def truncated(rack: Rack, driver: Driver) -> Driver:
    """Kill the driver, and truncate the latest checkpoint."""
    driver.kill(signal.SIGKILL)
    driver.process.wait()
    newest = max(study_of(driver).glob("trials/*/checkpoint_*"), key=lambda p: p.stat().st_mtime)
    for file in newest.iterdir():
        os.truncate(file, 0)
    return resumed(driver, rack)


def head(rack: Rack, driver: Driver) -> Driver:
    """Kill the head, and start a new cluster."""
    rack.kill_head()
    driver.process.wait()
    rack.close()
    rack.__init__()  # type: ignore[misc]
    return resumed(driver, rack)


def full_disk(rack: Rack, driver: Driver) -> Driver:
    """Fill the study's disk for a while."""
    full(driver.folder / "results")
    return driver


def read_only_disk(rack: Rack, driver: Driver) -> Driver:
    """Make the study's disk read-only for a while."""
    read_only(driver.folder / "results")
    return driver


FAULTS: dict[str, Callable[[Rack, Driver], Driver]] = {
    "process_of_a_trial": process,
    "worker_node": node,
    "node_joins": joining,
    "driver": killed_driver,
    "sigterm_to_driver": sigterm,
    "submitter_closes": laptop,
    "truncated_checkpoint": truncated,
    "full_disk": full_disk,
    "read_only_disk": read_only_disk,
    "head": head,
}
OF_STORAGE = (full_disk, read_only_disk)


def study_of(driver: Driver) -> Path:
    """Return the folder of the driver's study."""
    return driver.folder / "results" / "study"


def suffer(fault: Callable[[Rack, Driver], Driver], rack: Rack) -> dict[str, float]:
    """Run a study with one fault; return lost trials, repeated epochs, seconds of interruption."""
    rack.mend()
    with tempfile.TemporaryDirectory() as name, disk(fault, Path(name)):
        arguments = ["--trials", str(TRIALS), "--max-epochs", str(EPOCHS), "--name", "study"]
        arguments += ["--max-concurrent", "1"]
        options = {"address": rack.address, "script": SCRIPT, "before": ("nohup",)}
        driver = Driver(name, *arguments, **options)
        study = study_of(driver)
        driver.wait_for(lambda: len(results(study)) >= MIDDLE * EPOCHS)
        at = time.time()
        driver = fault(rack, driver)
        if driver.ended():
            raise RuntimeError(f"exit code {driver.ended()}: {driver.output}")
        ended = [event for event in journal_of(study) if event["event"] == "ended"]
        finished = {event["trial"] for event in ended if event["status"] == "finished"}
        times = [event["time"] for event in results(study)]
        # Results on their way arrive after the fault too.
        pauses = [end - begin for begin, end in itertools.pairwise(times) if end > at]
        begun = Path(name, BEGUN).read_text().splitlines()
        return {
            "trials_lost": TRIALS - len(finished),
            "epochs_begun_again": len(begun) - len(set(begun)),
            "seconds_until_it_went_on": max(pauses) - SECONDS,
        }


def disk(fault: Callable[..., Driver], folder: Path) -> AbstractContextManager[object]:
    """Return a file system for the studies in `folder`, if the fault needs one."""
    return mounted(folder / "results", size="64m") if fault in OF_STORAGE else nullcontext()


def results(study: Path) -> list[dict[str, Any]]:
    """Return the events of the reported epochs."""
    there = (study / "journal.jsonl").exists()
    return [event for event in journal_of(study) if event["event"] == "result"] if there else []


def measure(quick: bool) -> list[Row]:
    """Measure each fault once, or with `quick` the first two."""
    faults = dict(list(FAULTS.items())[:2]) if quick else FAULTS
    # Paths of Ray's sockets have at most 107 characters.
    with tempfile.TemporaryDirectory(prefix="tc-") as folder:
        os.environ["RAY_TMPDIR"] = folder
        rack = Rack()
        try:
            measured = {name: suffer(fault, rack) for name, fault in faults.items()}
        finally:
            rack.close()
    units = {"trials_lost": "trials", "epochs_begun_again": "epochs"}
    return [
        Row(benchmark="faults", case=case, metric=metric, value=value, unit=units.get(metric, "s"))
        for case, figures in measured.items()
        for metric, value in figures.items()
    ]


if __name__ == "__main__":
    run_benchmark(measure, __doc__ or "")
