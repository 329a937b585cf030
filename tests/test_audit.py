"""An audited study of the real job: what it would be without its controls, and after a kill."""

import json

import pytest

from search_spaces.schedulers.asha import ASHA
from tests.conftest import TINY, journal_of, results_of, table_of
from tests.test_resume import kill_when, resume_command, rungs_of
from tune_cluster.callbacks.tensorboard import read_run

pytestmark = pytest.mark.long

AUDITED = (*TINY, "--max-concurrent", "1", "--audit", "0.6")


def controls_of(study):
    """Every epoch of every control, without what a clock has measured; and how it ended."""
    clocked = ("epoch_seconds", "samples_per_second")
    results, ends = {}, {}
    for event in journal_of(study):
        if event["event"] == "control":
            at = event["trial"], event["epoch"]
            assert at not in results
            results[at] = {k: v for k, v in event["metrics"].items() if k not in clocked}
        elif event["event"] == "control_ended":
            assert event["trial"] not in ends
            ends[event["trial"]] = event["status"], event["epoch"]
    return results, ends


def test_an_audit_changes_nothing_and_survives_a_kill(start_job, run_job, whole_study, tmp_path):
    plain, whole, killed = whole_study, *(tmp_path / "results" / name for name in ("a", "killed"))
    code, output = run_job(*AUDITED, "--name", "a")
    assert code == 0, output
    assert table_of(whole) == table_of(plain)
    assert results_of(whole) == results_of(plain)
    assert rungs_of(whole) == rungs_of(plain)
    assert (
        json.loads((whole / "best" / "best.json").read_text())["test"]
        == (json.loads((plain / "best" / "best.json").read_text())["test"])
    )
    results, ends = controls_of(whole)
    stopped = {
        event["trial"]
        for event in journal_of(whole)
        if event.get("rung") and (event["event"] == "ended")
    }
    asha = ASHA(max_epochs=9, audit=0.6, seed=1)
    assert set(ends) == {index for index in stopped if asha.is_control(index)}
    assert ends
    assert f"{len(ends)} of {len(stopped)} stopped trials were finished" in output
    assert len(json.loads((whole / "audit.json").read_text())["rank_correlation"]) == 2

    events = journal_of(whole)
    began = next(n for n, event in enumerate(events) if event["event"] == "control_started")
    process = start_job(*AUDITED, "--name", "killed")
    kill_when(process, killed, began + 4)
    output, _ = process.communicate()
    code, output = run_job(*resume_command(output))
    assert code == 0, output
    assert table_of(killed) == table_of(whole)
    assert results_of(killed) == results_of(whole)
    assert rungs_of(killed) == rungs_of(whole)
    assert controls_of(killed) == (results, ends)
    for index in ends:
        of_this = {epoch for trial, epoch in results if trial == index}
        assert read_run(killed / "trials" / f"{index:04d}-control").epochs == of_this
    assert (killed / "audit.json").read_text() == (whole / "audit.json").read_text()
