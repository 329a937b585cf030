"""Temporary files of a process on its node's disk are removed, even after a kill."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.in_process import names
from tune_cluster.storage.store import scratch, sweep

KEEPS = """
from pathlib import Path
from tune_cluster.storage.store import scratch
folder = scratch()
Path(folder.name, "checkpoint").write_text("of a trial")
print(folder.name, flush=True)
input()
"""


@pytest.fixture
def disk(tmp_path, monkeypatch):
    """The node's own, which this process has no folder on."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


@pytest.fixture
def other():
    """Another process, which keeps a folder there."""
    process = subprocess.Popen(
        [sys.executable, "-c", KEEPS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    yield process
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


def test_the_folder_of_a_process_that_was_killed_is_removed_and_that_of_one_that_lives_is_not(
    disk, other
):
    folder = Path(other.stdout.readline().strip())
    sweep()
    assert names(folder) == ["checkpoint"]
    other.kill()
    other.wait()
    sweep()
    assert names(disk) == []


def test_a_sweep_does_not_follow_a_link_of_another_user(disk, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "lock").touch()
    (elsewhere / "precious").touch()
    (disk / "tune-cluster-link").symlink_to(elsewhere)
    sweep()
    assert names(elsewhere) == ["lock", "precious"]


def test_a_folder_is_there_until_it_is_cleaned_up():
    with scratch() as folder:
        Path(folder, "checkpoint").touch()
    assert not Path(folder).exists()
