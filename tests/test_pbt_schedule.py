"""The population's job as a user runs it: its journal, its schedule, its refusals."""

import json

import pytest
import torch
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

from tests.conftest import ROOT, journal_of
from tests.journals import trials_from
from trainables.image.config import ImageConfig
from trainables.image.datasets import load_dataset
from trainables.image.task import ImageData
from trainables.training.loop import fit

JOB = ROOT / "tune_jobs" / "pbt_schedule.py"
NOT_KEPT = ("epoch_seconds", "samples_per_second", "step_losses", "step_scores")
EPOCHS = 8


def texts_in(run, tag):
    return [
        value.tensor.string_val[0].decode()
        for path in sorted(run.glob("events.out.tfevents.*"))
        for event in EventFileLoader(str(path)).Load()
        for value in event.summary.value
        if value.tag == tag
    ]


@pytest.mark.long
def test_the_pbt_job_finds_a_schedule_that_fit_repeats_bit_for_bit(run_job, tmp_path):
    small = ("--dataset", "digits", "--trials", "4", "--max-epochs", str(EPOCHS), "--seed", "2")
    code, output = run_job(*small, "--max-concurrent", "1", "--name", "pbt", script=JOB)
    assert code == 0, output
    study = tmp_path / "results" / "pbt"

    events = journal_of(study)
    trials = trials_from(events)
    exploits = [event for event in events if event["event"] == "exploited"]
    assert [exploit["epoch"] for exploit in exploits] == [2, 4, 6]
    for exploit in exploits:
        assert exploit["donor_value"] >= exploit["value"]
        assert f"weights of trial {exploit['donor']} (" in output
        run = study / "trials" / f"{exploit['trial']:04d}"
        assert exploit in [
            json.loads(text) | {"time": exploit["time"]} for text in texts_in(run, "exploited")
        ]
    # The learning rate in the journal is the one that the epoch reports.
    for trial in trials.values():
        assert sorted(trial.results) == list(range(1, EPOCHS + 1))
        for epoch, metrics in trial.results.items():
            assert metrics["learning_rate"] == trial.config_at(epoch)["learning_rate"]

    about = json.loads((study / "study.json").read_text())
    assert (about["strategy"]["searcher"], about["strategy"]["scheduler"]) == (
        "RandomSearch",
        "pbt",
    )
    best = json.loads((study / "best" / "best.json").read_text())
    schedule = json.loads((study / "best" / "schedule.json").read_text())
    assert (schedule["trial"], schedule["epoch"]) == (best["trial"], best["epoch"])
    assert len(schedule["lineage"]) > 1, "this seed's best has taken over weights"
    shown = next(line for line in output.splitlines() if line.startswith("schedule "))
    assert shown.count("from epoch") == len(schedule["schedule"]["learning_rate"])

    # The whole lineage again, in one go.
    torch.set_num_threads(1)
    config = ImageConfig.from_dict(schedule["config"])
    data = load_dataset("digits", tmp_path / "data", seed=2).search
    for metrics, _ in fit(config, ImageData(data)):
        epoch = metrics["epoch"]
        trained_by = [trial for first, trial in schedule["lineage"] if first <= epoch][-1]
        was = trials[trained_by].results[epoch]
        assert {k: v for k, v in metrics.items() if k not in NOT_KEPT} == {
            k: v for k, v in was.items() if k not in NOT_KEPT
        }
        if epoch == schedule["epoch"]:
            break

    left = sorted(str(path.relative_to(study)) for path in study.rglob("*") if path.is_dir())
    assert [path for path in left if "checkpoint" not in path] == [
        *("best", "course", "trials"),
        *(f"trials/{index:04d}" for index in range(4)),
    ]
    assert sum("checkpoint" in path for path in left) == 4, "the best one of each"

    before = (study / "journal.jsonl").read_bytes()
    code, output = run_job("--resume", "results/pbt", "--trials", "8", script=JOB)
    assert code == 2, output
    assert output.startswith("error: --resume results/pbt: a population can be neither resumed nor")
    assert len(output.splitlines()) == 1
    assert (study / "journal.jsonl").read_bytes() == before
