"""Ray's memory monitor kills processes of trials: the study continues, with fewer trials at once.

The machine with little memory is a control group: nothing else on this machine loses any.
"""

import re

import pytest

from tests.conftest import journal_of, table_of
from tests.faults.memory import SETTINGS, small_machine
from tests.faults.rack import Driver

pytestmark = pytest.mark.long

JOB = """
import time
from pathlib import Path

from ray import tune
from search_spaces.searchers.grid_search import GridSearch
from search_spaces.hyperparameter import Hyperparameter
from search_spaces.space import Space
from tune_cluster import TuneConfig, Tuner, main

EPOCHS = 8

MEGABYTES = Hyperparameter(
    name="megabytes", meaning="what a trial takes", default=1, kind="network", role="scientific",
    advice="for tests", values=VALUES,
)


def wait_for(event):
    while event not in Path(JOURNAL).read_text():
        time.sleep(0.1)


class Keeps(tune.Trainable):
    def setup(self, config):
        self.taken, self.epoch = b"x" * (config["megabytes"] * 1024**2), 0

    def step(self):
        time.sleep(0.2)
        self.epoch += 1
        if self.epoch == EPOCHS:
            wait_for("retried")
        return {"score": self.epoch, "epoch": self.epoch, "done": self.epoch == EPOCHS}

    def save_checkpoint(self, folder):
        Path(folder, "epoch").write_text(str(self.epoch))

    def load_checkpoint(self, folder):
        self.epoch = int(Path(folder, "epoch").read_text())


def begins_anew(config):
    taken = b"x" * (config["megabytes"] * 1024**2)
    for epoch in range(1, EPOCHS + 1):
        if epoch == EPOCHS:
            wait_for("width")
            if config["megabytes"] > 1000:
                # It trains until Ray has looked at the memory, which a busy machine does later.
                time.sleep(600)
        tune.report({"score": epoch, "epoch": epoch})


def job(options):
    strategy = GridSearch(Space("own", (MEGABYTES,)))
    return Tuner(
        TRAINABLE,
        tune_config=TuneConfig(metric="score", mode="max", search_alg=strategy),
    )


main(job)
"""


@pytest.fixture
def machine():
    with small_machine() as machine:
        yield machine


@pytest.fixture
def drive_inside(machine, temporary, tmp_path, monkeypatch):
    """Start trials that take `megabytes` each, on the machine with little memory."""
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    started = []

    def start(trainable, *megabytes):
        script = tmp_path / "job.py"
        values = f"({', '.join(map(str, megabytes))},)"
        text = JOB.replace("VALUES", values).replace("TRAINABLE", trainable)
        journal = tmp_path / "results" / "study" / "journal.jsonl"
        script.write_text(text.replace("JOURNAL", repr(str(journal))))
        arguments = ("--name", "study", "--trials", str(len(megabytes)), "--max-concurrent", "2")
        started.append(
            Driver(tmp_path, *arguments, address="local", script=script, before=machine.inside)
        )
        return started[-1]

    yield start
    for driver in started:
        driver.process.kill()
        driver.process.wait()


@pytest.fixture
def study(tmp_path):
    return tmp_path / "results" / "study"


def killed(study):
    """Return the epochs of each retry, by trial."""
    found = {}
    for event in journal_of(study):
        if event["event"] == "retried":
            assert "OutOfMemoryError: killed" in event["reason"]
            found.setdefault(event["trial"], []).append(event["epoch"])
    return found


def test_a_neighbour_that_takes_the_memory_for_a_while_costs_no_trial_and_no_epoch_twice(
    machine, drive_inside, study
):
    driver = drive_inside("Keeps", 10, 20)
    driver.wait_for_lines(study, 16)
    machine.fill(seconds=4)
    assert driver.ended() == 0, driver.output
    assert [row["status"] for row in table_of(study)] == ["finished"] * 2
    assert killed(study)
    results = [(e["trial"], e["epoch"]) for e in journal_of(study) if e["event"] == "result"]
    assert sorted(results) == [(trial, epoch) for trial in (0, 1) for epoch in range(1, 9)]
    restored = [e for e in journal_of(study) if e["event"] == "restored"]
    assert {e["trial"] for e in restored} == set(killed(study))
    assert all(e["epoch"] > 0 for e in restored)
    assert "its process was lost (OutOfMemoryError" in driver.output


def widths(study):
    return [event for event in journal_of(study) if event["event"] == "width"]


def test_trials_that_do_not_fit_beside_each_other_run_one_at_a_time(drive_inside, study):
    driver = drive_inside("begins_anew", 700, 710)
    assert driver.ended() == 0, driver.output
    assert "Traceback" not in driver.output
    assert [row["status"] for row in table_of(study)] == ["finished", "finished"]
    (width,) = widths(study)
    assert width["trials"] == 1
    said = re.match(r"trial (\d) was killed 2 times in epoch (\d)", width["reason"])
    trial, epoch = map(int, said.groups())
    # Once more, it may be, before the process that made room for it had gone; and how often in an
    # earlier epoch depends on when Ray looks at the memory.
    assert killed(study)[trial].count(epoch) in (2, 3)
    assert f"1 trial at once, 2 before: {said[0]}" in driver.output


def test_a_trial_that_fits_beside_none_fails_and_gives_the_room_back(drive_inside, study):
    driver = drive_inside("begins_anew", 700, 1500)
    assert driver.ended() == 0, driver.output
    assert "Traceback" not in driver.output
    assert [row["status"] for row in table_of(study)] == ["finished", "failed"]
    assert [width["trials"] for width in widths(study)] == [1, 2]
    epochs = killed(study)[1]
    # A busy machine looks at the memory late: a trial may be killed in an earlier epoch afterwards.
    assert len(epochs[epochs.index(max(epochs)) :]) == 3
    (failed,) = (e for e in journal_of(study) if e.get("status") == "failed")
    assert "OutOfMemoryError" in failed["reason"]
