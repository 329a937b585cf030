"""The confirmation of a study of the real job: effects on the study, and after a kill."""

import json
import shutil

import pytest

from tests.conftest import journal_of, results_of, table_of
from tests.test_resume import kill_when, resume_command

pytestmark = pytest.mark.long


def confirmation_of(study):
    """Arguments of Python to confirm it."""
    return ("-m", "tune_cluster", "confirm", str(study), "--top", "2", "--seeds", "3")


def test_a_confirmation_leaves_its_study_unchanged_and_is_the_same_after_a_kill(
    start_job, run_job, whole_study, tmp_path
):
    results = tmp_path / "results"
    first, again = results / "a", results / "b"
    for copy in (first, again):
        shutil.copytree(whole_study, copy)
    files = {path: path.read_bytes() for path in first.rglob("*") if path.is_file()}
    code, output = run_job("--max-concurrent", "1", script=confirmation_of(first))
    assert code == 0, output
    assert {path: path.read_bytes() for path in first.rglob("*") if path.is_file()} == files
    assert "test set)" not in output
    assert "baseline" not in output
    whole = results / "a-confirm"
    found = json.loads((whole / "confirm.json").read_text())
    assert found["fresh_split"]
    suggested = [event for event in journal_of(whole) if event["event"] == "suggested"]
    for event in suggested:
        config = event["config"]
        assert config["seed"] == config["split_seed"] == event["seed"]
    rounds = [event["seed"] for event in suggested]
    assert list(dict.fromkeys(rounds)) == found["seeds"]
    assert sum(map(len, found["values"].values())) == len(suggested)
    # Every run goes to the end, whatever its first epochs were.
    ends = [event for event in journal_of(whole) if event["event"] == "ended"]
    assert {(event["status"], event["epoch"]) for event in ends} == {("finished", 9)}
    # Another split: equal configurations have other values than in the study.
    before = {
        event["config"]["learning_rate"]: event["trial"]
        for event in journal_of(first)
        if event["event"] == "suggested"
    }
    for event in suggested:
        same = before.get(event["config"]["learning_rate"])
        if same is not None:
            ours, theirs = results_of(whole)[event["trial"], 1], results_of(first)[same, 1]
            assert ours["val_loss"] != theirs["val_loss"]

    killed = results / "b-confirm"
    process = start_job("--max-concurrent", "1", script=confirmation_of(again))
    kill_when(process, killed, len(journal_of(whole)) // 2)
    output, _ = process.communicate()
    code, output = run_job(*resume_command(output))
    assert code == 0, output
    assert table_of(killed) == table_of(whole)
    assert results_of(killed) == results_of(whole)
    text = (killed / "confirm.json").read_text()
    assert text.replace('"study": "b"', '"study": "a"') == (whole / "confirm.json").read_text()
