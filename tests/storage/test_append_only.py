"""A file that grows by whole pieces, on a file system that is really full."""

import errno
import os
import subprocess

import pytest

from tests.mounts import mounted
from tune_cluster.storage.append_only import REMEMBERED_BYTES, AppendOnlyFile, HeldFile
from tune_cluster.storage.retry import RetryPolicy, StorageLostError, StorageRetry
from tune_cluster.storage.store import LocalStore

SHORT = RetryPolicy(first_seconds=0.01, longest_seconds=0.02, total_seconds=5)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 kB; the folder that it is mounted at."""
    with mounted(tmp_path / "disk", size="64k") as disk:
        yield disk


def test_a_piece_that_a_full_disk_cut_off_is_there_once_and_whole(small_disk):
    seen = []

    def free_some(line):
        # The content that readers see while it waits.
        seen.append((small_disk / "log").read_bytes())
        (small_disk / "filler").unlink(missing_ok=True)

    file = AppendOnlyFile(
        small_disk / "log", StorageRetry(LocalStore(small_disk), free_some, policy=SHORT)
    )
    first, second = b"a" * 5_000, b"b" * 20_000
    file.write(first)
    file.flush()
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * 49_152)
    file.write(second[:7_000])
    file.write(second[7_000:])
    file.flush()
    assert seen[0] == first
    assert (small_disk / "log").read_bytes() == first + second
    file.close()


def test_a_file_system_that_is_read_only_for_a_while_loses_nothing(small_disk):
    def writable(line):
        subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)

    file = AppendOnlyFile(
        small_disk / "log", StorageRetry(LocalStore(small_disk), writable, policy=SHORT)
    )
    file.write(b"first\n")
    file.flush()
    # A file that is open for writing holds the file system; it is opened again.
    file.close()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    file.write(b"second\n")
    file.flush()
    file.close()
    assert (small_disk / "log").read_text() == "first\nsecond\n"


class Server:
    """Replaces `os.write`, and simulates on command a server that returns without the last
    bytes."""

    def __init__(self, path):
        self.path, self.write = path, os.write
        self.forgets = 0

    def __call__(self, number, data):
        if self.forgets:
            os.truncate(self.path, self.path.stat().st_size - self.forgets)
            self.forgets = 0
            raise OSError(errno.EIO, "the pages of an NFS client are gone")
        return self.write(number, data)


@pytest.fixture
def server(tmp_path, monkeypatch):
    server = Server(tmp_path / "log")
    monkeypatch.setattr(os, "write", server)
    return server


def test_bytes_that_a_restarted_server_has_lost_are_written_again(server):
    file = AppendOnlyFile(server.path, StorageRetry(LocalStore(server.path.parent), policy=SHORT))
    for piece in (b"first\n", b"second\n", b"third\n"):
        file.write(piece)
        file.flush()
    server.forgets = 9
    file.write(b"fourth\n")
    file.flush()
    file.close()
    assert server.path.read_text() == "first\nsecond\nthird\nfourth\n"


def test_bytes_lost_beyond_the_buffer_are_an_error_and_not_replaced_by_zeros(server):
    server.path.write_text("of an earlier session\n")
    file = AppendOnlyFile(server.path, StorageRetry(LocalStore(server.path.parent), policy=SHORT))
    file.write(b"x" * (REMEMBERED_BYTES + 1))
    file.flush()
    left = 10
    server.forgets = server.path.stat().st_size - left
    file.write(b"next\n")
    with pytest.raises(StorageLostError, match="bytes that it had accepted are lost"):
        file.flush()
    assert server.path.read_text() == "of an earlier session\n"[:left]
    file.close()


def test_a_file_whose_last_piece_cannot_be_written_is_closed_nevertheless(small_disk):
    retry = StorageRetry(LocalStore(small_disk), lambda line: None, policy=RetryPolicy(0, 0, 0))
    held = HeldFile(small_disk / "log", create=True)
    file = AppendOnlyFile(small_disk / "log", retry, held=held)
    file.write(b"x" * 100_000)
    with pytest.raises(StorageLostError, match="no space left"):
        file.close()
    # Another process can have it.
    HeldFile(small_disk / "log", create=False).release()


def test_a_held_file_is_one_process_at_a_times(tmp_path):
    retry = StorageRetry(LocalStore(tmp_path), policy=SHORT)
    held = HeldFile(tmp_path / "log", create=True)
    file = AppendOnlyFile(tmp_path / "log", retry, held=held)
    with pytest.raises(ValueError, match="another process is running the study"):
        HeldFile(tmp_path / "log", create=False)
    file.close()
    HeldFile(tmp_path / "log", create=False).release()
    assert (tmp_path / "log").read_bytes() == b""
