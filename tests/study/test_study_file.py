"""The study's file comes back whole, or is refused by name."""

import json
from pathlib import Path

import pytest

from tests.in_process import names
from tests.studies import about
from tune_cluster.study.reading import read_study
from tune_cluster.study.study_file import STUDY_FILE, read_study_file, write_json, write_study_file


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
def test_what_is_no_study_is_an_error_that_names_it(tmp_path, content, said):
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


def test_what_is_only_shown_may_be_another_one(tmp_path):
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
