"""Runs of Weights & Biases, written by the real library without its server."""

import json
import sys
import time

import pytest

from tests.conftest import PATIENCE
from tests.journals import Happens, event_of
from tune_cluster.callbacks.wandb import WandB
from tune_cluster.study.events import Closed

CONFIG = {"learning_rate": 0.1, "layers": [64, 8]}


BLOCK, WHOLE, LAST = 32768, 1, 4
"""Block size of LevelDB's log format, which the file of a run has after 7 bytes."""


def parts_of(data):
    at, part = 7, b""
    while at + 7 <= len(data):
        if BLOCK - at % BLOCK < 7:
            at += BLOCK - at % BLOCK
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        if at + 7 + length > len(data):
            return  # not yet written
        part += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (WHOLE, LAST):
            yield part
            part = b""


def records_of(folder, trial):
    """Return the records in the file of a trial's run, by kind."""
    from wandb.proto import wandb_internal_pb2

    (path,) = folder.glob(f"wandb/offline-run-*/run-study-{trial:04d}.wandb")
    found = {}
    for part in parts_of(path.read_bytes()):
        record = wandb_internal_pb2.Record()  # type: ignore[attr-defined]
        record.ParseFromString(part)
        found.setdefault(record.WhichOneof("record_type"), []).append(record)
    return found


def whole_records_of(folder, trial):
    """Return the records once the file has its end: a busy machine writes it after `finish`."""
    deadline = time.monotonic() + PATIENCE / 5
    while "exit" not in (found := records_of(folder, trial)):
        assert time.monotonic() < deadline, found.keys()
        time.sleep(0.2)
    return found


def items(updates):
    return {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in updates}


@pytest.mark.slow
def test_each_trial_is_a_run_with_its_configuration_its_epochs_and_its_end(tmp_path):
    study = Happens(WandB("project", "study", mode="offline", dir=tmp_path), config=CONFIG)
    for epoch, score in ((1, 0.5), (2, 0.4)):
        for trial in (0, 1):
            metrics = {"score": score + trial / 10, "loss": None}
            study.tell(event_of("result", trial, epoch=epoch, metrics=metrics))
    study.tell(event_of("ended", 0, status="failed", epoch=3, reason="OSError: no"))
    study.tell(Closed(why="interrupted"))
    failed, running = (whole_records_of(tmp_path, trial) for trial in (0, 1))
    (run,) = [record.run for record in failed["run"]][:1]
    assert (run.project, run.run_group, run.display_name) == ("project", "study", "0000")
    config = items(run.config.update)
    assert {name: config[name] for name in CONFIG} == CONFIG
    logged = [items(record.history.item) for record in running["history"]]
    assert [(row["epoch"], row["score"]) for row in logged] == [(1, 0.6), (2, 0.5)]
    assert all("loss" not in row for row in logged)
    summary = {}
    for record in failed["summary"]:
        summary.update(items(record.summary.update))
    assert (summary["status"], summary["reason"]) == ("failed", "OSError: no")
    assert (summary["best_score"], summary["best_epoch"]) == (0.5, 1)
    (end,) = failed["exit"]
    assert end.exit.exit_code == 1


def test_a_library_that_is_missing_says_which_extra_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ValueError, match=r"pip install 'tune-cluster\[wandb\]'"):
        WandB("project", "study")
