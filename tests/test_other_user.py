"""A study in a folder that another user may write to, as a person resumes it."""

import json
import os
import shutil

import pytest

from tests.conftest import journal_of, table_of
from tests.other_user import as_other
from tune_cluster.plain_text import argument

pytestmark = pytest.mark.long

SHORT = ("--dataset", "digits", "--max-epochs", "2", "--seed", "1", "--max-concurrent", "1")
PASTED = "$(touch pasted)\ntouch pasted; #\x1b[8m"
"""Text that another user wrote into `study.json`, to be pasted with the shown command."""

PROCESSES = 2_000
"""Ids that the next processes may have."""


def open_to_all(folder):
    """Lets every user write to all of it."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o666)


def test_links_that_another_user_puts_into_a_study_are_not_followed(shared, run_job):
    results = shared.study
    code, output = run_job(
        # With a third trial one is promoted: a new best, whose checkpoint is no link.
        *(*SHORT, "--grace-period", "1", "--trials", "2"),
        *("--storage-path", str(results), "--name", "study"),
    )
    assert code == 0, output
    study = results / "study"
    tune = shared.folder("study/.tune")
    open_to_all(study)
    last = os.getpid()
    as_other(
        lambda: [
            (study / f".study.json-{pid}").symlink_to(shared.victim)
            for pid in range(last, last + PROCESSES)
        ]
    )
    shared.link(
        *(f"study/.tune/{name}" for name in ("tuner.pkl", ".validate_storage_marker")),
        "study/best/state.pt",
    )
    stolen = next((study / "trials").glob("*/checkpoint_*")) / "state.pt"
    shared.link(str(stolen.relative_to(results)))

    stored = json.loads((study / "study.json").read_text())
    stored["command"].append(PASTED)
    (study / "study.json").write_text(json.dumps(stored))

    code, output = run_job("--resume", str(study), "--trials", "3", "--yes")
    assert code == 0, output
    assert not shared.harmed, shared.victim.read_bytes()[:300]
    (repeat,) = [line for line in output.splitlines() if line.startswith("repeat")]
    assert argument(PASTED) in repeat
    assert "\x1b" not in output
    assert "NOTICE" in output
    assert "may be written to by everybody" in output
    assert len(table_of(study)) == 3
    assert not any(path.is_symlink() for path in (study / "best").iterdir())
    assert not tune.exists()
    assert [e["event"] for e in journal_of(study)].count("session") == 2

    shutil.move(study / "trials" / "0001", results / "elsewhere")
    as_other(lambda: (study / "trials" / "0001").symlink_to("../../elsewhere"))
    code, output = run_job("--resume", str(study), "--trials", "4", "--yes")
    assert code == 2, output
    assert "trials/0001 is a link" in output.splitlines()[0]
