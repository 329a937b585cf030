"""The command lines of the reports: one line where they are no good."""

import os

import pytest

from tune_cluster.reports import audit, comparison, plots

FINDINGS = {"audit": audit, "comparison": comparison, "plots": plots}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "circle").symlink_to("circle")
    os.mkfifo(tmp_path / "fifo")
    return tmp_path


@pytest.mark.parametrize("finding", FINDINGS)
@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["empty"],
        ["missing"],
        ["file"],
        ["circle"],
        ["fifo"],
        ["a\0b"],
        ["a" * 300],
        ["~nobody-here"],
        ["s3:/x"],
        ["empty", "b", "c"],
        ["--nonsense"],
    ],
    ids=lambda arguments: ascii(" ".join(arguments))[:20],
)
def test_what_is_no_study_is_one_line(folder, capsys, finding, arguments):
    with pytest.raises(SystemExit) as ended:
        FINDINGS[finding].main(arguments)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
