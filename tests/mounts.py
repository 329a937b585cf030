"""A small file system for a test, where this machine lets us mount one, and how it fails."""

import subprocess
import time
from contextlib import contextmanager

import pytest

AWAY_SECONDS = 20


@contextmanager
def mounted(folder, size):
    """A tmpfs of so many bytes (as `mount` takes them) at `folder`, until the context ends."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"cannot mount a tmpfs here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        # Lazily: a killed worker may still have a file open.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk):
    """Leaves no byte free on the file system."""
    with (disk / "filler").open("wb", buffering=0) as file:
        for size in (64 * 1024, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue


def full(disk):
    """For a while."""
    fill(disk)
    time.sleep(AWAY_SECONDS)
    (disk / "filler").unlink()


def read_only(disk):
    """For a while."""
    with not_writable(disk):
        time.sleep(AWAY_SECONDS)


@contextmanager
def not_writable(folder):
    """What is opened meanwhile cannot be written, by root neither; what is open for writing keeps
    a file system from it."""
    command = ["mount", "--bind", str(folder), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"cannot mount here: {done.stderr.strip()}")
    try:
        # Busy as long as a file that was opened through it is being written.
        remount = ["mount", "-o", "remount,bind,ro", str(folder)]
        while b"busy" in (done := subprocess.run(remount, stderr=subprocess.PIPE)).stderr:
            time.sleep(0.01)
        done.check_returncode()
        yield
    finally:
        # Lazily: a process may look at it just now.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
