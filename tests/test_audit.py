"""The audit of a study of the real job: effects on the study, and after a kill."""

import json
import shutil

import pytest

from search_spaces.schedulers.asha import drawn
from tests.conftest import TINY, journal_of, results_of, table_of
from tests.test_resume import kill_when, resume_command, rungs_of
from tune_cluster.callbacks.tensorboard import read_run

pytestmark = pytest.mark.long


def audit_of(study):
    """Arguments of Python to audit it."""
    return ("-m", "tune_cluster", "audit", str(study), "--share", "0.6")


def test_an_audit_leaves_its_study_unchanged_and_survives_a_kill(
    start_job, run_job, whole_study, tmp_path
):
    results = tmp_path / "results"
    first, again = results / "a", results / "b"
    code, output = run_job(*TINY, "--max-concurrent", "1", "--audit", "0.6", "--name", "a")
    assert code == 0, output
    assert "tune-cluster audit results/a --share 0.6" in output
    assert table_of(first) == table_of(whole_study)
    assert results_of(first) == results_of(whole_study)
    assert rungs_of(first) == rungs_of(whole_study)
    shutil.copytree(first, again)
    files = {path: path.read_bytes() for path in first.rglob("*") if path.is_file()}

    code, output = run_job(script=audit_of(first))
    assert code == 0, output
    assert {path: path.read_bytes() for path in first.rglob("*") if path.is_file()} == files
    whole = results / "a-audit"
    stopped = {
        event["trial"]
        for event in journal_of(first)
        if event.get("rung") and (event["event"] == "ended")
    }
    origins = [event["origin"] for event in journal_of(whole) if event["event"] == "suggested"]
    assert origins == sorted(index for index in stopped if drawn(1, index, 0.6))
    assert f"{len(origins)} of {len(stopped)} stopped trials were finished" in output
    assert "test set" not in output
    assert len(json.loads((whole / "audit.json").read_text())["rank_correlation"]) == 2

    events = journal_of(whole)
    began = next(n for n, event in enumerate(events) if event["event"] == "started")
    killed = results / "b-audit"
    process = start_job(script=audit_of(again))
    kill_when(process, killed, began + 4)
    output, _ = process.communicate()
    code, output = run_job(*resume_command(output))
    assert code == 0, output
    assert table_of(killed) == table_of(whole)
    assert results_of(killed) == results_of(whole)
    for trial in range(len(origins)):
        of_this = {epoch for index, epoch in results_of(whole) if index == trial}
        assert read_run(killed / "trials" / f"{trial:04d}").epochs == of_this
    assert (killed / "audit.json").read_text() == (whole / "audit.json").read_text()
