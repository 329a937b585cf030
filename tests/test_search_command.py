"""A user's command, tuned without changes; killed and resumed in `test_reference_programs.py`."""

import shlex
import sys
from pathlib import Path

import pytest
import torch

from tests.conftest import ROOT, journal_of, table_of
from tests.test_resume import assert_whole
from tune_cluster.cli import run

JOB = ROOT / "tune_jobs" / "search_command.py"
EXAMPLE = ROOT / "examples" / "command_script.py"
WORDS = (sys.executable, str(EXAMPLE), "--lr", "{lr}", "--batch-size", "{batch-size}")
FLAGS = ("--search", "lr=log:0.001:1", "batch-size=16,32,64", "--metric", "val_loss")
RESUMING = ("--checkpoint", "{trial_dir}/*.pt", "--resume-args=--resume {checkpoint}")


def command(*words):
    return "--command=" + " ".join([*WORDS, *words])


def test_run_with_a_command_starts_the_job_that_tunes_it():
    given = (
        "--search",
        "lr=1:2",
        "--metric",
        "loss",
        "--search=a=1,2",
        "--pattern",
        "(?P<loss>.)",
    )
    behind = ("python", "a b.py", "--lr={lr}")
    job, *words = run(*given, "--resume-args", "--resume {checkpoint}", "--", *behind)
    assert job.endswith("search_command.py")
    assert words == [
        *given,
        "--resume-args=--resume {checkpoint}",
        "--command=python 'a b.py' --lr={lr}",
    ]
    assert shlex.split(words[-1])[0].startswith("--command=python")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (("--search", "rate=1,2", command("--rate", "{rates}")), "{rates}"),
        (("--search", "more=1,2"), "{more}"),
        (("--metric", ""), "--metric"),
        (("--command=no-such-program --lr {lr}",), "no such program"),
        (("--pattern", "loss: (.*)"), "--pattern"),
        (("--storage-path", "s3://bucket/folder", command("--out", "{trial_dir}")), "{trial_dir}"),
    ],
)
def test_an_invalid_search_is_refused_before_anything_is_scheduled(
    run_job, tmp_path, changed, said
):
    code, output = run_job(*FLAGS, command(), *changed, script=JOB)
    assert code == 2
    assert said in output
    assert "Traceback" not in output
    assert not (tmp_path / "results").exists()


@pytest.mark.long
def test_a_command_is_promoted_from_its_checkpoints_and_its_files_are_kept(run_job, tmp_path):
    flags = (*FLAGS, *RESUMING, command("--out", "{trial_dir}"), "--max-epochs", "9")
    one = (*flags, "--trials", "9", "--max-concurrent", "1", "--grace-period", "1")
    whole = tmp_path / "results" / "whole"
    code, output = run_job(*one, "--name", "whole", script=JOB)
    assert code == 0, output
    assert {row["status"] for row in table_of(whole)} == {"stopped", "finished"}
    assert any(event["event"] == "promoted" for event in journal_of(whole))
    log = (whole / "trials" / "0000" / "log.txt").read_text()
    assert "Epoch 1: val_loss=" in log
    assert ":actor_name:" not in log
    assert [*(whole / "trials" / "0000" / "files").glob("*.pt")]
    [best] = (whole / "best").glob("*.pt")
    assert torch.load(best)["model"]
    assert_whole(whole, 9)


@pytest.mark.long
def test_a_failed_command_reports_its_reason_and_a_name_without_a_value_is_left_out(
    run_job, tmp_path
):
    script = tmp_path / "train.sh"
    # The first trial has the defaults: of the first optimizer, which alone has a momentum.
    script.write_text(
        'case "$*" in *adam*--momentum*) echo both; exit 3;; *adam*) echo no adam here; exit 4;;\n'
        "*) for e in 1 2; do echo val_loss=$e; done;; esac"
    )
    flags = ("--search", "opt=sgd,adam", "momentum=0:1 if opt=sgd", "--metric", "val_loss")
    asked = f"--command=sh {script} {{opt}} --momentum {{momentum}}"
    more = ("--trials", "5", "--max-epochs", "2", "--searcher", "optuna", "--name", "s")
    code, output = run_job(*flags, asked, *more, script=JOB)
    assert code == 0, output
    rows = table_of(tmp_path / "results" / "s")
    assert {row["status"] for row in rows if row["opt"] == "adam"} == {"failed"}
    assert {row["status"] for row in rows if row["opt"] == "sgd"} <= {"finished", "stopped"}
    [failed] = [event for event in journal_of(tmp_path / "results" / "s") if event.get("log")][:1]
    assert failed["log"].splitlines()[-1] == "no adam here"
    assert "code 4: no adam here" in failed["reason"]
    assert "rung_rule" not in output
    assert Path(tmp_path / "results" / "s" / "best" / "best.json").exists()
