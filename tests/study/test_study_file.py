"""Requirements of a `study.json`, and the check that a script has the same settings."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from search_spaces.schedulers.asha import ASHA
from search_spaces.searchers.grid_search import GridSearch
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.searchers.sobol_search import SobolSearch
from search_spaces.space import Space
from tests.in_process import QUALITY, SPACE, names, study_in
from tests.studies import about
from tune_cluster.execution.command_line import Command
from tune_cluster.execution.description import describe
from tune_cluster.execution.options import Options
from tune_cluster.study.journal import JOURNAL
from tune_cluster.study.stored import read_study
from tune_cluster.study.study_file import (
    STUDY_FILE,
    check_unchanged,
    read_study_file,
    write_json,
    write_study_file,
)


def test_a_study_file_comes_back(tmp_path):
    write_study_file(tmp_path, about(options={"path": Path("a/b")}))
    stored = read_study_file(tmp_path)
    assert {**stored, "crc": 0} == about(options={"path": "a/b"}, crc=0)
    assert names(tmp_path) == [STUDY_FILE]


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path):
    write_json(tmp_path / STUDY_FILE, about())
    circular = {}
    circular["itself"] = circular
    with pytest.raises(ValueError, match="Circular"):
        write_json(tmp_path / STUDY_FILE, circular)
    assert read_study_file(tmp_path) == about()
    assert names(tmp_path) == [STUDY_FILE]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no study is there .it has no study.json"),
        ('{"schema_version": 1', "study.json: not JSON"),
        ("", "study.json: not JSON"),
        ('{"schema_version": 2}', "written in schema 2, this version reads 1"),
        ("{}", "written in schema None, this version reads 1"),
        ("[]", "written in schema None, this version reads 1"),
        (json.dumps(about(crc=1)), "study.json: it was changed since it was written"),
    ],
)
def test_a_folder_without_a_study_is_an_error_that_names_it(tmp_path, content, said):
    if content is not None:
        (tmp_path / STUDY_FILE).write_text(content)
    with pytest.raises(ValueError, match=said) as refused:
        read_study_file(tmp_path)
    assert str(refused.value).startswith(f"--resume {tmp_path}: ")


@pytest.mark.parametrize("name", ["seed", "metric", "flags", "options", "space", "strategy", "crc"])
def test_a_field_that_decides_on_the_table_cannot_be_changed(tmp_path, name):
    write_study_file(tmp_path, about())
    stored = json.loads((tmp_path / STUDY_FILE).read_text())
    stored[name] = (
        {**stored[name], "more": 1} if isinstance(stored[name], dict) else stored[name] * 2
    )
    stored[name] = stored[name] or 1
    write_json(tmp_path / STUDY_FILE, stored)
    with pytest.raises(ValueError, match="changed since it was written"):
        read_study_file(tmp_path)


def test_a_stored_command_of_another_script_is_accepted(tmp_path):
    write_study_file(tmp_path, about())
    stored = json.loads((tmp_path / STUDY_FILE).read_text())
    write_json(tmp_path / STUDY_FILE, {**stored, "command": ["python3", "elsewhere/job.py"]})
    assert read_study_file(tmp_path)["command"] == ["python3", "elsewhere/job.py"]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"seed": -1}, "study.json: seed is -1"),
        ({"metric": None}, "study.json: metric is None"),
        ({"command": ["python"]}, "study.json: command is"),
        ({"strategy": {"rungs": [0]}}, r"study.json: rungs\.0 is 0"),
        ({"space": {"parameters": [{}], "fixed": {}}}, r"space\.parameters\.0\.name is missing"),
    ],
)
def test_a_field_of_another_type_is_named(tmp_path, changed, said):
    write_study_file(tmp_path, about(**changed))
    with pytest.raises(ValueError, match=said):
        read_study(tmp_path)


@pytest.mark.parametrize("name", ["job", "command", "seed", "mode", "flags", "space", "dataset"])
def test_a_field_that_is_missing_is_named(tmp_path, name):
    write_study_file(tmp_path, {key: value for key, value in about().items() if key != name})
    with pytest.raises(ValueError, match=f"study.json: {name} is missing"):
        read_study(tmp_path)


OTHER = replace(QUALITY, name="other")
TWO = Space("two", (QUALITY, OTHER))


def train(config):
    """Any."""


def train_otherwise(config):
    """Another one."""


def job(directory, searcher=None, scheduler=None, trainable=train):
    """Settings of a script, and their form in `study.json`."""
    study = study_in(
        directory,
        trainable=trainable,
        searcher=searcher or RandomSearch(TWO, seed=0),
        scheduler=scheduler or ASHA(max_epochs=9, grace_period=1),
    )
    return describe(study, Command(Options(), {}), [])


@pytest.fixture
def begun(tmp_path):
    """A study that a script has started."""
    write_json(tmp_path / STUDY_FILE, job(tmp_path))
    events = [{"event": "suggested", "trial": 0, "config": {"quality": 0.5, "other": 0.5}}]
    (tmp_path / JOURNAL).write_text("".join(json.dumps(event) + "\n" for event in events))
    return tmp_path


def test_a_script_that_says_the_same_goes_on(begun):
    assert job(begun)["strategy"] == read_study_file(begun)["strategy"]
    check_unchanged(begun, metric="score", mode="max")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"searcher": SobolSearch(TWO, seed=0)}, "searcher was RandomSearch, here SobolSearch"),
        ({"searcher": RandomSearch(SPACE, seed=0)}, "other was .*'high': 1.0.*, here absent"),
        (
            {"searcher": RandomSearch(Space("wider", (QUALITY, replace(OTHER, high=2.0))), seed=0)},
            r"other was .*'high': 1\.0.*, here .*'high': 2\.0",
        ),
        (
            {"searcher": RandomSearch(Space("turned", (OTHER, QUALITY)), seed=0)},
            r"order .* was \['quality', 'other'\], here \['other', 'quality'\]",
        ),
        (
            {"searcher": RandomSearch(TWO.fix(preset="new"), seed=0)},
            "preset was absent, here new",
        ),
        ({"scheduler": ASHA(max_epochs=9, grace_period=2)}, "grace_period was 1, here 2"),
        ({"scheduler": ASHA(max_epochs=9)}, "grace_period was 1, here None"),
        ({"scheduler": ASHA(max_epochs=9, reduction_factor=2)}, "reduction_factor was 3, here 2"),
        ({"scheduler": ASHA(max_epochs=9, rung_rule="ray")}, "rung_rule was .*, here ray"),
        ({"scheduler": ASHA(max_epochs=27)}, "max_epochs was 9, here 27"),
        ({"trainable": train_otherwise}, r"trainable was .*\.train, here .*\.train_otherwise"),
    ],
)
def test_a_change_that_gives_the_known_trials_another_meaning_is_refused_with_both_values(
    begun, changed, said
):
    with pytest.raises(ValueError, match=said):
        job(begun, **changed)


def test_another_metric_or_mode_is_refused(begun):
    with pytest.raises(ValueError, match="mode was max, here min"):
        check_unchanged(begun, metric="score", mode="min")
    with pytest.raises(ValueError, match="metric was score, here loss"):
        check_unchanged(begun, metric="loss", mode="max")


def branches(low):
    """Two hyperparameters of one name, of which one has another range."""
    kind = replace(QUALITY, name="kind", low=None, high=None, values=("a", "b"))
    first = replace(OTHER, condition=("kind", ("a",)), low=low)
    return Space("branches", (kind, first, replace(OTHER, condition=("kind", ("b",)))))


def test_another_range_in_one_branch_and_a_fixed_none_are_seen(tmp_path):
    for space, changed, said in (
        (branches(0.0), branches(0.5), "other for .*'low': 0.0.*, here .*'low': 0.5"),
        (TWO, TWO.fix(clip=None), "clip was absent, here None"),
    ):
        study = tmp_path / space.name
        study.mkdir()
        write_json(study / STUDY_FILE, job(study, RandomSearch(space, seed=0)))
        with pytest.raises(ValueError, match=said):
            job(study, RandomSearch(changed, seed=0))


def test_a_grid_of_other_points_is_refused(tmp_path):
    write_json(tmp_path / STUDY_FILE, job(tmp_path, GridSearch(TWO, grid_points=3)))
    with pytest.raises(ValueError, match="points was 9, here 16"):
        job(tmp_path, GridSearch(TWO, grid_points=4))


def test_a_study_of_an_earlier_version_goes_on_and_has_from_then_on_what_it_lacked(begun):
    stored = read_study_file(begun)
    write_json(
        begun / STUDY_FILE, {k: v for k, v in stored.items() if k not in ("trainable", "points")}
    )
    again = job(begun, trainable=train_otherwise)
    assert again["trainable"].endswith("train_otherwise")
