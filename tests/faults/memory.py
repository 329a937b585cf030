"""A machine with little memory, which is a control group, and a neighbour that fills it."""

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

MEMORY = Path("/sys/fs/cgroup/memory")
"""Files from which Ray reads the memory and its use."""

MB = 1024**2
LIMIT, THRESHOLD = 4096 * MB, 0.45
"""Memory of the group, and the share of it above which Ray kills."""

SETTINGS = {"RAY_memory_usage_threshold": str(THRESHOLD), "RAY_memory_monitor_refresh_ms": "100"}

ENTER = """
echo $$ > "$0/cgroup.procs" &&
mount --make-rprivate / &&
mount --bind "$0" /sys/fs/cgroup/memory &&
exec "$@"
"""


class SmallMachine:
    """Args:
    group: the folder of the control group.
    """

    def __init__(self, group):
        self.group = group
        self.inside = ("unshare", "--mount", "sh", "-c", ENTER, str(group))
        """Words before a command that is to run on it."""

    def taken(self):
        """Bytes, as Ray counts them."""
        told = dict(line.split() for line in (self.group / "memory.stat").read_text().splitlines())
        used = int((self.group / "memory.usage_in_bytes").read_text())
        return used - int(told["total_inactive_file"])

    def fill(self, seconds):
        """Let a neighbour take the free memory, and 100 MB more than Ray allows."""
        missing = int(LIMIT * THRESHOLD) + 100 * MB - self.taken()
        script = f"import time; taken = b'x' * {missing}; time.sleep({seconds})"
        subprocess.run([*self.inside, sys.executable, "-c", script], check=True)


@contextmanager
def small_machine():
    """There as long as the context lasts, where this machine lets us have one."""
    group = MEMORY / f"tune-cluster-{os.getpid()}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text(str(LIMIT))
    except OSError as error:
        pytest.skip(f"no control group of our own here: {error}")
    try:
        yield SmallMachine(group)
    finally:
        while (group / "cgroup.procs").read_text():
            time.sleep(0.05)
        group.rmdir()
