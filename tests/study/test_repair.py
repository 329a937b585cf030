"""The intact part of a damaged study becomes a study beside it, which is resumed."""

from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.in_process import names
from tests.journals import event_of, read_events, trials_from, typed
from tests.studies import about
from tune_cluster.execution.command_line import parse
from tune_cluster.execution.resume import taken_up
from tune_cluster.storage.checkpoints import TrialCheckpoints
from tune_cluster.storage.s3 import S3Store
from tune_cluster.storage.store import LocalStore
from tune_cluster.study.journal import JOURNAL, Journal
from tune_cluster.study.stored import read_study, repair
from tune_cluster.study.study_file import write_study_file

LENGTHS = (3, 1, 2)
"""Epochs of each trial."""


def job(study):
    """Does it work?"""


def save(folder):
    Path(folder, "state").touch()


@pytest.fixture
def study(tmp_path):
    """A study of three trials, one after the other, with a checkpoint of every epoch."""
    directory = tmp_path / "study"
    (directory / "trials").mkdir(parents=True)
    write_study_file(directory, about())
    journal = Journal(directory / JOURNAL)
    journal.append(typed({"event": "session"}))
    for trial, length in enumerate(LENGTHS):
        journal.append(typed({"event": "suggested", "trial": trial, "config": {"a": trial}}))
        checkpoints = TrialCheckpoints(LocalStore(directory / "trials" / f"{trial:04d}"), "max")
        for epoch in range(1, length + 1):
            metrics = {"score": float(epoch)}
            checkpoints.write(epoch, float(epoch), metrics, save)
            journal.append(event_of("result", trial, epoch=epoch, metrics=metrics))
        journal.append(event_of("ended", trial, status="finished", epoch=length))
    journal.end("all trials")
    return directory


def damage(study, at, line=None):
    lines = (study / JOURNAL).read_bytes().splitlines(keepends=True)
    lines[at : at + 1] = [] if line is None else [line]
    (study / JOURNAL).write_bytes(b"".join(lines))


def left_of(study):
    """Return by trial its epochs, whether it has ended, and its checkpoints."""
    events = read_study(study).events
    return {
        index: (
            sorted(trial.results),
            trial.ended,
            names(study / "trials" / f"{index:04d}")
            if (study / "trials" / f"{index:04d}").exists()
            else [],
        )
        for index, trial in trials_from(events).items()
    }


@pytest.mark.parametrize("line", [None, b"\0" * 80 + b"\n", b'{"event": "result"}\n'])
@pytest.mark.parametrize(
    ("at", "whole", "first"),
    [
        # The session's beginning.
        (0, "whole are trials 0 to 2 (6 epochs", ([1, 2, 3], True, ["checkpoint_000003"])),
        # The second epoch of trial 0: its checkpoint is of a later one.
        (3, "trials 1 to 2, trial 0 to its epoch 1 (4 epochs", ([1], False, [])),
        # Its end.
        (5, "whole are trials 0 to 2 (6", ([1, 2, 3], False, ["checkpoint_000003"])),
    ],
)
def test_a_trial_that_has_lost_an_event_goes_on_from_before_it(study, line, at, whole, first):
    damage(study, at, line)
    before = (study / JOURNAL).read_bytes()
    with pytest.raises(ValueError, match=rf"journal\.jsonl: line {at + 1}") as refused:
        read_events(study / JOURNAL)
    assert whole in str(refused.value)
    assert f"--resume {study} --repair" in str(refused.value)
    copy = Path(repair(str(study)))
    assert copy == study.with_name("study-repaired")
    assert left_of(copy) == {
        0: first,
        1: ([1], True, ["checkpoint_000001"]),
        2: ([1, 2], True, ["checkpoint_000002"]),
    }
    assert (study / JOURNAL).read_bytes() == before
    with pytest.raises(ValueError, match="is there already"):
        repair(str(study))


def test_a_repaired_study_in_a_bucket_is_not_written_over_from_another_machine(
    study, bucket, tmp_path, monkeypatch
):
    damage(study, 3)
    store = S3Store(f"{bucket}/results/mine")
    for name in ("study.json", JOURNAL):
        store.write(name, (study / name).read_bytes())
    repaired = S3Store(repair(str(store)))
    repaired.write("journal/000099.jsonl", b"what its trials have done since\n")
    before = repaired.files()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "of another machine"))
    with pytest.raises(ValueError, match=f"{repaired} is there already: --resume {repaired}"):
        repair(str(store))
    assert repaired.files() == before


@pytest.mark.parametrize("typed", [".", "../study/", "trials/.."])
def test_the_copy_of_a_study_that_is_named_by_where_one_is_lies_beside_it(
    study, monkeypatch, typed
):
    damage(study, 3)
    monkeypatch.chdir(study)
    copy = Path(repair(typed))
    assert copy.samefile(study.with_name("study-repaired"))
    with pytest.raises(ValueError, match="is there already"):
        repair(typed)


def test_lines_that_were_exchanged_are_all_whole(study):
    lines = (study / JOURNAL).read_bytes().splitlines(keepends=True)
    (study / JOURNAL).write_bytes(b"".join([*lines[:2], lines[7], *lines[3:7], lines[2], *lines]))
    copy = Path(repair(str(study)))
    assert read_events(copy / JOURNAL)[-1]["event"] == "repaired"
    assert [trial[:2] for trial in left_of(copy).values()] == [
        ([1, 2, 3], True),
        ([1], True),
        ([1, 2], True),
    ]


def test_trials_after_one_whose_configuration_is_lost_are_lost_too(study):
    damage(study, 6)
    copy = Path(repair(str(study)))
    assert list(left_of(copy)) == [0]


def test_the_command_line_goes_on_with_the_copy(study):
    damage(study, 3)
    with ExitStack() as held, pytest.raises(ValueError, match="line 4"):
        taken_up(partial(parse, job, ["--resume", str(study)]), held)
    with ExitStack() as held:
        _, directory = taken_up(partial(parse, job, ["--resume", str(study), "--repair"]), held)
        assert directory.path == study.with_name("study-repaired")


def test_a_study_that_needs_no_repair_is_refused(study):
    with ExitStack() as held:
        with pytest.raises(ValueError, match="is not damaged"):
            taken_up(partial(parse, job, ["--resume", str(study), "--repair"]), held)
        with pytest.raises(ValueError, match="give --resume STUDY too"):
            taken_up(partial(parse, job, ["--repair"]), held)
    assert names(study.parent) == ["study"]
