"""Storage that is full or read-only for a while in mid-study: nothing is lost, nothing is twice."""

import signal

import pytest

from tests.conftest import journal_of, results_of
from tests.faults.rack import lines_of
from tests.faults.whole import ONE, TRIALS, assert_as_if_nothing_had_been
from tests.mounts import fill, full, mounted, read_only
from tests.test_resume import assert_whole

pytestmark = pytest.mark.long


@pytest.fixture
def disk(tmp_path):
    """The studies of the job, on a file system of their own."""
    with mounted(tmp_path / "results", size="64m") as folder:
        yield folder


@pytest.fixture
def started(mended, undisturbed, disk, drive):
    """The driver of a study that is in the middle of it."""
    driver = drive(*ONE)
    driver.wait_for_lines(disk / "study", lines_of(undisturbed) // 3)
    return driver


@pytest.mark.parametrize(
    ("away", "said"),
    [(full, "no space left on device"), (read_only, "read-only file system")],
)
def test_storage_that_fails_for_a_while_costs_nothing(started, disk, undisturbed, away, said):
    study = disk / "study"
    away(disk)
    assert started.ended() == 0, started.output
    assert f"storage: {said} on " in started.output
    assert "is back after" in started.output
    assert_as_if_nothing_had_been(study, undisturbed)
    assert (study / "best" / "state.pt").exists()
    assert [e["event"] for e in journal_of(study)].count("restored") == 0


SAVES_NOTHING = """
import time
from ray import tune
from search_spaces.catalogue import LEARNING_RATE
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.space import Space
from tune_cluster import TuneConfig, Tuner, main

class Reports(tune.Trainable):
    def step(self):
        time.sleep(0.2)
        return {"val_loss": self.config["learning_rate"] / (1 + self.iteration)}

def job(options):
    strategy = RandomSearch(Space("own", (LEARNING_RATE,)), seed=options.seed)
    return Tuner(
        Reports,
        tune_config=TuneConfig(metric="val_loss", mode="min", search_alg=strategy),
    )

main(job)
"""


def test_the_driver_itself_waits_for_a_full_disk(mended, disk, drive, tmp_path):
    script = tmp_path / "job.py"
    script.write_text(SAVES_NOTHING)
    study, epochs = disk / "study", 60
    arguments = ("--trials", "1", "--max-epochs", str(epochs), "--name", "study")
    driver = drive(*arguments, script=script)
    driver.wait_for_lines(study, 8)
    full(disk)
    assert driver.ended() == 0, driver.output
    # A trial's would begin with its name: it saves nothing, and so waits for nothing.
    said = [line for line in driver.output.splitlines() if "storage: " in line]
    assert all(line.startswith("storage: ") for line in said)
    assert "storage: no space left on device on results/study" in said[0]
    assert "is back after" in said[-1]
    results = [e["epoch"] for e in journal_of(study) if e["event"] == "result"]
    assert results == list(range(1, epochs + 1))


def test_ctrl_c_ends_a_study_that_waits_for_its_storage_and_it_can_be_resumed(
    started, disk, drive, undisturbed
):
    study = disk / "study"
    fill(disk)
    started.wait_for(lambda: "storage: " in started.output)
    started.kill(signal.SIGINT)
    assert started.ended() == 130, started.output
    assert "--resume" in started.output
    (disk / "filler").unlink()
    resumed = drive("--resume", str(study))
    assert resumed.ended() == 0, resumed.output
    assert results_of(study) == results_of(undisturbed)
    assert_whole(study, TRIALS)
