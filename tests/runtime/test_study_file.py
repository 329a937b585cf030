"""The study's file comes back whole, or is refused by name."""

from pathlib import Path

import pytest

from tests.runtime.conftest import names
from tune_jobs.runtime.study_file import STUDY_FILE, read_study_file, write_json


def test_a_study_file_comes_back(tmp_path):
    write_json(tmp_path / STUDY_FILE, {"schema_version": 1, "path": Path("a/b")})
    assert read_study_file(tmp_path) == {"schema_version": 1, "path": "a/b"}
    assert names(tmp_path) == [STUDY_FILE]


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path):
    write_json(tmp_path / STUDY_FILE, {"schema_version": 1})
    circular = {}
    circular["itself"] = circular
    with pytest.raises(ValueError, match="Circular"):
        write_json(tmp_path / STUDY_FILE, circular)
    assert read_study_file(tmp_path) == {"schema_version": 1}
    assert names(tmp_path) == [STUDY_FILE]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no study is there .it has no study.json"),
        ('{"schema_version": 1', "study.json is not JSON"),
        ("", "study.json is not JSON"),
        ('{"schema_version": 2}', "written in schema 2, this version reads 1"),
        ("{}", "written in schema None, this version reads 1"),
    ],
)
def test_what_is_no_study_is_an_error_that_names_it(tmp_path, content, said):
    if content is not None:
        (tmp_path / STUDY_FILE).write_text(content)
    with pytest.raises(ValueError, match=said) as refused:
        read_study_file(tmp_path)
    assert str(refused.value).startswith(f"--resume {tmp_path}: ")


# The command line against the disk.
