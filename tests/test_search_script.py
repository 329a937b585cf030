"""A user's training script, tuned with three changed lines."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT, journal_of, table_of
from tests.test_resume import assert_whole
from tune_cluster.cli import run

JOB = ROOT / "tune_jobs" / "search_script.py"
EXAMPLE = ROOT / "examples" / "plain_script.py"
SEARCH = ("--search", "lr=log:0.001:1", "batch-size=16,32,64")
FLAGS = ("--script", str(EXAMPLE), *SEARCH, "--metric", "val_loss", "--trials", "9")


@pytest.mark.slow
def test_the_example_script_trains_without_a_search():
    command = [sys.executable, str(EXAMPLE), "--epochs", "2", "--lr", "0.05"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "epoch 2: loss" in done.stdout


def test_run_with_search_starts_the_job_that_tunes_a_script(tmp_path):
    script = tmp_path / "train.py"
    script.write_text("")
    flags = ("--search", "lr=1:2", "--metric", "loss", "--search=a=1,2", "--", "--epochs", "9 0")
    job, *words = run(str(script), *flags)
    assert job.endswith("search_script.py")
    assert words == [
        *("--script", str(script), "--search", "lr=1:2", "--metric", "loss", "--search=a=1,2"),
        "--arguments=--epochs '9 0'",
    ]
    assert run(str(script), "--trials", "3") == [str(script), "--trials", "3"]


def test_flags_may_come_before_a_script(tmp_path):
    script = tmp_path / "train.py"
    script.write_text("")
    flags = ("--resume-or-start", "--search", "lr=1:2")
    job, *words = run(*flags, str(script), "--", "--epochs", "9")
    assert job.endswith("search_script.py")
    assert words == ["--script", str(script), *flags, "--arguments=--epochs 9"]
    assert run("--yes", str(script), "--trials", "3") == [str(script), "--yes", "--trials", "3"]


@pytest.mark.parametrize(
    "text",
    [
        "from tune_cluster import Options, main\nmain(job)",
        "import tune_cluster as tc\ntc.main(job)",
        "from tune_cluster.execution.compare import compare",
    ],
)
def test_search_flags_of_a_job_are_passed_to_the_job(tmp_path, text):
    script = tmp_path / "job.py"
    script.write_text(text)
    words = [str(script), "--search", "lr=1:2", "--metric", "val_f1"]
    assert run(*words) == words


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (("--search", "rate=1,2"), "the script has no argument rate"),
        (("--search", "lr=log:0:1"), "a log scale must start above 0"),
        (("--metric", ""), "--metric NAME"),
        (("--script", "none.py"), "no such file"),
    ],
)
def test_an_invalid_search_is_refused_before_anything_is_scheduled(
    run_job, tmp_path, changed, said
):
    code, output = run_job(*FLAGS, *changed, script=JOB)
    assert code == 2
    assert said in output
    assert "Traceback" not in output
    assert not (tmp_path / "results").exists()


@pytest.mark.long
def test_the_first_trial_has_the_values_of_the_script_and_trials_are_promoted(run_job, tmp_path):
    one = (*FLAGS, "--max-concurrent=1", "--grace-period=1", "--arguments=--epochs 9")
    whole = tmp_path / "results" / "whole"
    code, output = run_job(*one, "--name", "whole", script=JOB)
    assert code == 0, output
    first = next(event for event in journal_of(whole) if event["event"] == "suggested")
    assert first["config"] == {"lr": 0.1, "batch_size": 32}, "those of the script"
    assert {row["status"] for row in table_of(whole)} == {"stopped", "finished"}
    assert any(event["event"] == "promoted" for event in journal_of(whole))
    assert (whole / "best" / "state.pt").exists()
    assert_whole(whole, 9)
