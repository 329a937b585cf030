"""A study as read from its files: refusals, and what a new study takes over."""

import json
import os
import shutil
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.journals import trials_from, typed
from tests.studies import about
from tune_cluster.execution.command_line import parse
from tune_cluster.execution.resume import taken_up
from tune_cluster.study.journal import JOURNAL, Journal
from tune_cluster.study.stored import check_kinds, read_study
from tune_cluster.study.study_file import STUDY_FILE, write_json, write_study_file
from tune_jobs.compare_strategies import job

GOLDEN = ROOT / "tests" / "golden" / "schema_1" / "without_checksums" / "study"
"""A study of version 0.1, whose driver was killed; its lines have no checksums."""


def test_a_study_of_an_earlier_version_is_resumed_and_from_then_on_checked(tmp_path):
    study = tmp_path / "study"
    shutil.copytree(GOLDEN, study)
    with ExitStack() as held:
        command, _ = taken_up(partial(parse, job, ["--resume", str(study)]), held)
    options = command.options
    assert (options.trials, options.seed, options.max_epochs) == (8, 1, 9)
    assert (command.own["strategy"], command.own["seeds"]) == ("tpe_asha", 3)
    assert command.own["images"].dataset == "digits", "which every job had then"
    stored, events, _ = read_study(study)
    trials = trials_from(events)
    assert len(events) == 40
    assert {index: trial.status for index, trial in trials.items()} == {
        **dict.fromkeys(range(5), "stopped"),
        5: "running",
    }
    write_study_file(study, stored)
    journal = Journal(study / JOURNAL)
    journal.append(typed({"event": "session"}))
    journal.end("interrupted")
    assert len(read_study(study)[1]) == 42
    lines = (study / JOURNAL).read_bytes().splitlines(keepends=True)
    (study / JOURNAL).write_bytes(b"".join([*lines[:-3], *lines[-2:]]))
    with pytest.raises(ValueError, match="line 40: it was written as line 41"):
        read_study(study)


@pytest.fixture
def study(tmp_path):
    write_study_file(tmp_path, about())
    journal = Journal(tmp_path / JOURNAL)
    journal.append(typed({"event": "suggested", "trial": 0, "config": {}}))
    journal.append(typed({"event": "result", "trial": 0, "epoch": 1, "metrics": {"loss": 0.5}}))
    journal.close()
    return tmp_path


def test_a_result_without_the_studys_metric_is_refused(study):
    with pytest.raises(ValueError, match=r"line 2: result\.metrics\.score is missing"):
        read_study(study)


def test_a_study_file_that_has_lost_its_checksum_is_refused(study):
    stored = json.loads((study / STUDY_FILE).read_text())
    write_json(study / STUDY_FILE, {name: stored[name] for name in stored if name != "crc"})
    with pytest.raises(ValueError, match=r"study\.json: crc is missing"):
        read_study(study)


@pytest.mark.parametrize(
    ("name", "make", "said"),
    [
        ("trials", Path.touch, "trials is a file, where a folder is expected"),
        ("best", os.mkfifo, "best is a FIFO, where a folder is expected"),
        (".tune", lambda path: path.symlink_to(path.name), "tune is a link, where a folder"),
        ("trials.csv", Path.mkdir, "csv is a folder, where a file is expected"),
    ],
)
def test_a_file_of_the_wrong_kind_where_a_resume_writes_is_refused(study, name, make, said):
    check_kinds(study)
    make(study / name)
    with pytest.raises(ValueError, match=said):
        check_kinds(study)
