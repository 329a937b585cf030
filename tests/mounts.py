"""A small file system for a test, where this machine lets us mount one, and how it fails."""

import subprocess
import tempfile
import time
from contextlib import contextmanager

import pytest

AWAY_SECONDS = 20


@contextmanager
def mounted(folder, size):
    """Mount a tmpfs of that many bytes (as `mount` takes them) at `folder`, within the context."""
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
    """Make a file system read-only within the context: what is opened meanwhile cannot be written,
    not even by root; a file that is open for writing prevents it."""
    with tempfile.TemporaryDirectory() as aside:
        command = ["mount", "--bind", str(folder), aside]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"cannot mount here: {done.stderr.strip()}")
        try:
            # No process writes through this mount, which would keep it from becoming read-only.
            subprocess.run(["mount", "-o", "remount,bind,ro", aside], check=True)
            subprocess.run(["mount", "--bind", aside, str(folder)], check=True)
        finally:
            subprocess.run(["umount", aside], check=True)
    try:
        yield
    finally:
        # Lazily: a process may look at it just now.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
