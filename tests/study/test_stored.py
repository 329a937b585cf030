"""A study as its files have it: what is refused, and what a new study takes over."""

import json
import os
import shutil
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from search_spaces.searchers.tpe_search import TPESearch
from search_spaces.trial_events import Earlier
from tests.conftest import ROOT
from tests.in_process import SPACE, study_in
from tests.journals import read_events, trials_from, typed
from tests.studies import about, about_this
from tune_cluster.execution.command_line import parse
from tune_cluster.execution.launcher import taken_up
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
def test_what_lies_where_a_resume_writes_is_refused_by_its_kind(study, name, make, said):
    check_kinds(study)
    make(study / name)
    with pytest.raises(ValueError, match=said):
        check_kinds(study)


def earlier_study(directory, *, metric="score", mode="max", trials=12):
    """A study whose best quality is 0.8, and whose trials below 0.3 failed."""
    directory.mkdir()
    write_json(directory / STUDY_FILE, about(metric=metric, mode=mode))
    events = []
    for trial in range(trials):
        quality = trial / trials
        config = {"quality": quality, "seed": 3, "epochs": 5}
        events.append({"event": "suggested", "trial": trial, "config": config})
        if quality < 0.3:
            events.append({"event": "ended", "trial": trial, "status": "failed", "epoch": 1})
            continue
        metrics = {metric: -abs(quality - 0.8)}
        events.append({"event": "result", "trial": trial, "epoch": 1, "metrics": metrics})
        if trial < trials - 1:
            events.append({"event": "ended", "trial": trial, "status": "finished", "epoch": 1})
    (directory / JOURNAL).write_text("".join(json.dumps(event) + "\n" for event in events))
    return directory


def begun(directory, warm_start=None, startup=5):
    """A study, open, with its searcher."""
    searcher = TPESearch(SPACE, seed=0, startup=startup)
    study = study_in(directory, at_once=8, searcher=searcher, warm_start=warm_start)
    study.open(about_this(study), [])
    study.begin()
    return study, study.tune_config.search_alg


def test_the_first_proposals_are_where_the_earlier_study_was_good(tmp_path):
    earlier = earlier_study(tmp_path / "earlier")
    study, searcher = begun(tmp_path / "new", earlier)
    qualities = [searcher.suggest(f"t{number}")["quality"] for number in range(4)]
    study.close("finished")
    assert study.searcher.learned == f"11 of 11 trials of {earlier} are in this space"
    assert all(quality > 0.5 for quality in qualities)
    assert len(study.trials) == 4, "those of the other study are not trials of this one"


def test_a_resume_does_not_need_the_earlier_study(tmp_path):
    earlier = earlier_study(tmp_path / "earlier")
    study, searcher = begun(tmp_path / "new", earlier)
    whole = [searcher.suggest(f"t{number}") for number in range(3)]
    study.close("interrupted")
    before = [e for e in read_events(tmp_path / "new" / JOURNAL) if e["event"] == "earlier"]
    assert len(before) == 11

    (earlier / STUDY_FILE).unlink()
    study, searcher = begun(tmp_path / "new", earlier)
    again = [searcher.suggest(f"t{number}") for number in range(3)]
    study.close("interrupted")
    assert again == whole
    after = [e for e in read_events(tmp_path / "new" / JOURNAL) if e["event"] == "earlier"]
    assert after == before


def test_trials_out_of_the_space_teach_nothing(tmp_path):
    earlier = earlier_study(tmp_path / "earlier")
    lines = (earlier / JOURNAL).read_text().replace('"quality": 0.75', '"quality": 7.5')
    (earlier / JOURNAL).write_text(lines)
    study, _ = begun(tmp_path / "new", earlier)
    study.close("finished")
    assert study.searcher.learned.startswith("10 of 11")


@pytest.mark.parametrize(
    ("had", "fixed", "learned"),
    [
        ({"optimizer": "adamw"}, {"optimizer": "adamw"}, True),
        ({"optimizer": "sgd"}, {"optimizer": "adamw"}, False),
        # The catalogue's default is what it had.
        ({}, {"optimizer": "adamw"}, False),
        ({}, {"optimizer": "sgd"}, True),
        ({"model": "cnn", "channels": [32, 64]}, {"model": "cnn", "channels": (32, 64)}, True),
        ({"epochs": 3}, {"epochs": 27}, True),
        # What the new trials do not say either has its default in them.
        ({"optimizer": "adam"}, {}, False),
        ({"dropout": 0.5}, {}, False),
        ({"dropout": 0.1}, {}, True),
        ({"own": 1}, {}, False),
        # Of some the default depends on others, and some are not there at all.
        ({}, {"momentum": 0.0}, False),
        ({"model": "cnn"}, {"model": "cnn", "channels": (16, 32)}, False),
        ({"optimizer": "adamw"}, {"optimizer": "adamw", "learning_rate": 1e-3}, True),
        ({"optimizer": "adamw"}, {"optimizer": "adamw", "learning_rate": 1e-2}, False),
        ({"optimizer": "adam", "momentum": 0.5}, {"optimizer": "adam"}, True),
    ],
)
def test_trials_that_differ_in_what_is_not_searched_teach_nothing(had, fixed, learned):
    searcher = TPESearch(SPACE.fix(**fixed), seed=0)
    config = {"quality": 0.5, **had}
    earlier = Earlier(study="e0", config=config, values={"1": 0.5}, status="finished")
    searcher.on_event(earlier, replay=False)
    assert searcher.learned.startswith(f"{int(learned)} of 1 ")


def test_a_study_that_looked_for_something_else_is_an_error(tmp_path):
    earlier = earlier_study(tmp_path / "earlier", metric="loss", mode="min")
    with pytest.raises(ValueError, match="it looked for the min of loss, this study"):
        begun(tmp_path / "new", earlier)
    with pytest.raises(ValueError, match=r"--warm-start .*: no study is there"):
        begun(tmp_path / "new", tmp_path / "nowhere")
    assert not (tmp_path / "new").exists()
