"""Paths and names as they are typed."""

from pathlib import Path

import pytest

from tests.in_process import names
from tune_cluster.execution.flags import parse
from tune_cluster.storage.paths import check_name, expanded
from tune_cluster.study.home import to_read


def job(study, *, weights: Path = Path("best"), others: tuple[Path, ...] = ()):
    """Where is it?"""


@pytest.mark.parametrize("flag", ["--storage-path", "--data-dir", "--resume", "--dataset"])
@pytest.mark.parametrize("apart", [True, False], ids=["apart", "after ="])
def test_the_home_folder_is_meant_by_a_tilde_in_every_path(tmp_path, monkeypatch, flag, apart):
    monkeypatch.setenv("HOME", str(tmp_path))
    argv = [flag, "~/mine"] if apart else [f"{flag}=~/mine"]
    command = parse(job, [*argv, "--weights=~/w", "--others", "~/a", "~"])
    assert str(getattr(command.flags, flag[2:].replace("-", "_"))) == str(tmp_path / "mine")
    assert command.options == {"weights": tmp_path / "w", "others": (tmp_path / "a", tmp_path)}
    assert to_read("~/mine") == tmp_path / "mine"


def test_what_is_no_path_of_the_home_folder_stays(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for typed in ("results", "/a/~/b", "s3://bucket/~x", "./~"):
        assert expanded("--storage-path", typed) == typed
    with pytest.raises(ValueError, match="--resume ~nobody-here/x: there is no such user"):
        expanded("--resume", "~nobody-here/x")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("a\0b", "control characters, got 'a.x00b'"),
        ("a\nb", "control characters"),
        ("\udcff", "control characters, got '.udcff'"),
        ("x/" + "a" * 256, "too long"),
        ("é" * 128, "too long"),
        ("a/" * 2000, "too long"),
    ],
)
def test_a_path_that_no_file_system_takes_is_refused(tmp_path, monkeypatch, typed, said):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=f"--data-dir .*{said}"):
        expanded("--data-dir", typed)
    assert names(tmp_path) == []


@pytest.mark.parametrize("name", ["", " ", "\t", ".", "..", "a/b", "/", "a\0", "a\n", "é" * 101])
def test_a_name_that_no_folder_can_have_is_refused(name):
    with pytest.raises(ValueError, match="--name must"):
        check_name("--name", name)


@pytest.mark.parametrize("name", ["a b", "-x", "~", "grün", "a" * 200, ".hidden", "..."])
def test_any_other_name_is_taken(name, tmp_path):
    check_name("--name", name)
    (tmp_path / name).mkdir()
