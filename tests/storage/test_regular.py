"""Only a regular file is read: nothing else is waited for, followed or acted on."""

import os
import socket
from pathlib import Path

import pytest

from tune_cluster.storage.regular import open_regular, read_regular


def test_a_regular_file_is_read_through_a_link_to_its_folder(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("folder")
    assert read_regular(tmp_path / "link" / "file") == b"content"
    with open_regular(tmp_path / "folder" / "file") as file:
        assert not os.get_inheritable(file.fileno())


def make_socket(path):
    with socket.socket(socket.AF_UNIX) as one:
        # A socket's path may have 107 characters only.
        before = Path.cwd()
        os.chdir(path.parent)
        one.bind(path.name)
        os.chdir(before)


@pytest.mark.parametrize(
    ("kind", "make"),
    [
        ("a folder", Path.mkdir),
        ("a link", lambda path: path.symlink_to(__file__)),
        ("a link", lambda path: path.symlink_to(path.name)),
        ("a FIFO", os.mkfifo),
        ("a socket", make_socket),
    ],
)
def test_what_is_no_regular_file_is_refused_by_its_kind(tmp_path, kind, make):
    make(tmp_path / "file")
    with pytest.raises(ValueError, match=f"file is {kind}"):
        read_regular(tmp_path / "file")


def test_a_device_is_refused():
    with pytest.raises(ValueError, match="/dev/zero is a device"):
        read_regular(Path("/dev/zero"))


def test_what_cannot_be_had_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "absent")
    (tmp_path / "link").symlink_to("link")
    with pytest.raises(OSError, match="symbolic links"):
        read_regular(tmp_path / "link" / "file")
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        read_regular(tmp_path / "file" / "below")
