"""A small file system of its own for a test, where this machine lets us mount one."""

import subprocess
from contextlib import contextmanager

import pytest


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
