"""Storage that is full or read-only for a while in mid-study: nothing is lost, nothing is twice."""

import subprocess
import time

import pytest

from tests.conftest import TINY, journal_of, results_of, table_of
from tests.mounts import mounted
from tests.test_resume import assert_whole, wait_for_lines

pytestmark = pytest.mark.long

AWAY_SECONDS = 20


def fill(disk):
    """Leaves no byte free on the file system."""
    with (disk / "filler").open("wb", buffering=0) as file:
        for size in (64 * 1024, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue


def full(disk):
    fill(disk)
    time.sleep(AWAY_SECONDS)
    (disk / "filler").unlink()


def read_only(disk):
    """For all that is opened from now on: what is open for writing keeps a file system from it."""
    subprocess.run(["mount", "--bind", str(disk), str(disk)], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(disk)], check=True)
        time.sleep(AWAY_SECONDS)
    finally:
        # Lazily: a process may look at it just now.
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.mark.parametrize(
    ("away", "said"),
    [(full, "no space left on device"), (read_only, "read-only file system")],
)
def test_storage_that_fails_for_a_while_costs_nothing(start_job, whole_study, tmp_path, away, said):
    with mounted(tmp_path / "disk", size="64m") as disk:
        study = disk / "away"
        arguments = (*TINY, "--max-concurrent", "1", "--name", "away", "--storage-path", str(disk))
        process = start_job(*arguments)
        wait_for_lines(process, study, len(journal_of(whole_study)) // 3)
        away(disk)
        output, _ = process.communicate(timeout=200)
        assert process.returncode == 0, output
        assert f"storage: {said} on {study}" in output
        assert "is back after" in output
        assert table_of(study) == table_of(whole_study)
        assert results_of(study) == results_of(whole_study)
        assert_whole(study, 6)
        assert (study / "best" / "state.pt").exists()
        assert [e["event"] for e in journal_of(study)].count("restored") == 0


SAVES_NOTHING = """
import time
from ray import tune
from search_spaces.catalogue import LEARNING_RATE
from search_spaces.random_search import RandomSearch
from search_spaces.space import Space
from tune_jobs.runtime.launch import launch

class Reports(tune.Trainable):
    def step(self):
        time.sleep(0.2)
        return {"val_loss": self.config["learning_rate"] / (1 + self.iteration)}

def job(study):
    strategy = RandomSearch(Space("own", (LEARNING_RATE,)), seed=study.flags.seed)
    return tune.Tuner(
        study.trainable(Reports),
        tune_config=study.tune_config(strategy),
        run_config=study.run_config(),
    )

launch(job, metric="val_loss", mode="min")
"""


def test_the_driver_itself_waits_for_a_full_disk(start_job, tmp_path):
    script = tmp_path / "study.py"
    script.write_text(SAVES_NOTHING)
    with mounted(tmp_path / "disk", size="8m") as disk:
        study = disk / "away"
        epochs = 60
        arguments = ("--trials", "1", "--max-epochs", str(epochs), "--name", "away")
        process = start_job(*arguments, "--storage-path", str(disk), script=script)
        wait_for_lines(process, study, 8)
        full(disk)
        output, _ = process.communicate(timeout=200)
        assert process.returncode == 0, output
        # A trial's would begin with its name: it saves nothing, and so waits for nothing.
        said = [line for line in output.splitlines() if "storage: " in line]
        assert all(line.startswith("storage: ") for line in said)
        assert f"storage: no space left on device on {study}" in said[0]
        assert "is back after" in said[-1]
        results = [e["epoch"] for e in journal_of(study) if e["event"] == "result"]
        assert results == list(range(1, epochs + 1))


def test_ctrl_c_ends_a_study_that_waits_for_its_storage_and_it_can_be_resumed(
    start_job, run_job, whole_study, tmp_path
):
    with mounted(tmp_path / "disk", size="64m") as disk:
        study = disk / "away"
        arguments = (*TINY, "--max-concurrent", "1", "--name", "away", "--storage-path", str(disk))
        process = start_job(*arguments)
        wait_for_lines(process, study, len(journal_of(whole_study)) // 3)
        fill(disk)
        for line in process.stdout:
            if "storage: " in line:
                break
        process.send_signal(2)
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 130, output
        assert "--resume" in output
        (disk / "filler").unlink()
        code, output = run_job("--resume", str(study))
        assert code == 0, output
        assert results_of(study) == results_of(whole_study)
        assert_whole(study, 6)
