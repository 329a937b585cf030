"""Keeps the Ray that a job starts out of the job's process group.

A signal that ends a job often goes to its whole group: `timeout`, a shell's `kill -- -PGID` and a
terminal that closes send it so. Ray's processes would end at once and take the driver with them
(exit code 1, no last line), while the driver is still ending its trials in order.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from ray._private import services


@contextmanager
def own_group() -> Iterator[None]:
    """A Ray that is started meanwhile is in a session of its own.

    It dies with the driver all the same, by the kernel's signal for the death of a parent.
    """
    before = services.ConsolePopen
    services.ConsolePopen = partial(before, start_new_session=True)
    try:
        yield
    finally:
        services.ConsolePopen = before
