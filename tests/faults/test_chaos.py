"""Random kills, by a seed: whatever dies when, the study ends as if nothing had happened.

`CHAOS_SECONDS=180 CHAOS_SEEDS="1 2 3" pytest tests/faults/test_chaos.py` is the long form; CI runs
20 s of one seed. The seed decides what is killed and how long after the last kill; the progress of
a trial by then depends on the machine.
"""

import os
import random
import signal
import time

import pytest

from tests.faults.rack import Driver, lines_of
from tests.faults.whole import ONE, assert_as_if_nothing_had_been

pytestmark = pytest.mark.long

SECONDS = float(os.environ.get("CHAOS_SECONDS", "20"))
SEEDS = os.environ.get("CHAOS_SEEDS", "24").split()
FAULTS = ("process", "node", "driver", "sigterm")
PAUSES = 0.5, 4.0
"""Seconds from one fault to the next: long enough for an epoch or two, too short for a trial."""


def cause(fault, rack, driver):
    """Return whether it was possible."""
    if fault in ("driver", "sigterm"):
        driver.kill(signal.SIGKILL if fault == "driver" else signal.SIGTERM)
        code = driver.ended()
        # At its very end the driver hears no signal any more: Ray's own handler ends it with 15,
        # and without that one the signal itself does.
        assert code in ((0, -9) if fault == "driver" else (0, 143, 15, -15)), driver.output
        return code != 0
    while not (trials := rack.trials()) and driver.process.poll() is None:
        time.sleep(0.005)
    if trials and fault == "process":
        rack.kill_process(trials[0][0])
    elif trials:
        rack.kill_node(trials[0][1])
        rack.add_node()
    return bool(trials)


def deck(draw):
    """Faults without end, each once before any comes again."""
    while True:
        yield from draw.sample(FAULTS, len(FAULTS))


def disturb(rack, folder, draw, faults, seconds):
    """Runs the study of `ONE` to its end with faults for so long; which, and the seconds it ran."""
    study, caused = folder / "results" / "study", []
    driver = Driver(folder, *ONE, address=rack.address)
    try:
        driver.wait_for_lines(study, 1)
        # On a machine that is busy the driver may take as long as all of the faults.
        began = time.monotonic()
        while time.monotonic() < began + seconds:
            fault, pause = next(faults), time.monotonic() + draw.uniform(*PAUSES)
            while driver.process.poll() is None and time.monotonic() < pause:
                time.sleep(0.01)
            if driver.process.poll() is not None:
                break
            if cause(fault, rack, driver):
                caused.append(fault)
            if driver.process.poll() is not None:
                before = lines_of(study)
                driver = Driver(folder, "--resume", str(study), address=rack.address)
                driver.wait_for_lines(study, before + 1)
        assert driver.ended() == 0, f"{caused}: {driver.output}"
    finally:
        driver.process.kill()
        driver.process.wait()
    return caused, time.monotonic() - began


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_is_killed_the_study_ends_as_if_nothing_had_been(
    rack, undisturbed, tmp_path, seed
):
    draw, left, caused = random.Random(seed), SECONDS, []
    faults = deck(draw)
    while left > 0:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        more, took = disturb(rack, folder, draw, faults, left)
        caused, left = caused + more, left - took
        assert_as_if_nothing_had_been(folder / "results" / "study", undisturbed)
    assert caused
    print(f"seed {seed}: {', '.join(caused)}")
