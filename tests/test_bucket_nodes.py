"""A bucket as the storage of several nodes, one of which is lost: a function's checkpoints too."""

import subprocess
import sys

import pytest

from tests.conftest import journal_of
from tests.faults.rack import Driver, Rack, title_of, wait_for
from tune_cluster.storage.s3 import S3Store

pytestmark = pytest.mark.long

TRIALS, EPOCHS = 4, 6

FUNCTION = f"""
import tempfile
import time
from pathlib import Path

from ray import tune

from search_spaces.catalogue import LEARNING_RATE
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.space import Space
from tune_cluster import TuneConfig, Tuner, main


def train(config):
    epoch = 0
    if checkpoint := tune.get_checkpoint():
        with checkpoint.as_directory() as folder:
            epoch = int(Path(folder, "epoch").read_text())
    while epoch < {EPOCHS}:
        while epoch == {EPOCHS} - 2 and not Path("node-is-lost").exists():
            time.sleep(0.1)
        epoch += 1
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "epoch").write_text(str(epoch))
            checkpoint = tune.Checkpoint.from_directory(folder)
            tune.report({{"val_loss": 1 / epoch, "told": epoch}}, checkpoint=checkpoint)


def job(options):
    "Does it go on?"
    strategy = RandomSearch(Space("own", (LEARNING_RATE,)), seed=0)
    return Tuner(
        train,
        tune_config=TuneConfig(metric="val_loss", mode="min", search_alg=strategy),
    )


if __name__ == "__main__":
    main(job)
"""


@pytest.fixture
def rack(bucket, temporary):
    """Two nodes that were started with the credentials of the bucket."""
    rack = Rack()
    yield rack
    rack.close()


def test_checkpoints_of_a_function_outlive_the_node_that_wrote_them(rack, bucket, tmp_path):
    storage = f"{bucket}/results"
    asked = [sys.executable, "-m", "tune_cluster", "preflight", "--address", rack.address]
    done = subprocess.run(
        [*asked, "--storage-path", storage], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "room for 2 trials at once" in done.stdout

    script = tmp_path / "job.py"
    script.write_text(FUNCTION)
    arguments = ("--trials", str(TRIALS), "--storage-path", storage, "--name", "study")
    driver = Driver(tmp_path, *arguments, address=rack.address, script=script)
    study = S3Store(f"{storage}/study")

    def both_have_reported():
        # A checkpoint is written before its epoch is reported, the second one after the first.
        names = [path.split("/") for path in study.files() if path.startswith("trials/000")]
        later = {name[1] for name in names if "checkpoint_000001" < name[2] < "checkpoint_9"}
        return later >= {"0000", "0001"}

    driver.wait_for(both_have_reported)
    process, node = rack.trial()
    rack.kill_node(node)
    # It outlives its node by a moment, in which it could come to its end.
    wait_for(lambda: not title_of(process))
    (tmp_path / "node-is-lost").touch()
    assert driver.ended() == 0, driver.output

    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "journal.jsonl").write_bytes(study.read("journal.jsonl"))
    events = journal_of(tmp_path / "copy")
    results = [event for event in events if event["event"] == "result"]
    told = sorted((event["trial"], event["epoch"], event["metrics"]["told"]) for event in results)
    assert told == [(t, e, e) for t in range(TRIALS) for e in range(1, EPOCHS + 1)]
    assert len({event["node"] for event in results}) == 2
    assert any(event.get("lost") for event in events)
    assert any(event["event"] == "restored" and event["epoch"] > 0 for event in events)
    assert study.read("best/epoch") == str(EPOCHS).encode()
