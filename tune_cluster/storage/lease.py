"""One driver at a time has a study in a bucket, as far as that can be had there.

A driver says that it is at work in `driver.json`, which it changes every few seconds and deletes
when it ends. Who finds one watches it for a while: if it changes, somebody is at work; if not, its
driver is dead.

That is no lock, for which the bucket would have to compare before it writes. Two drivers that
begin within the same second may both begin. One that was cut off from the bucket while another one
took over goes on until it reaches it again. Each looks at the file before it changes it, and ends
as soon as it finds another one's there; until then trials of both may have written checkpoints.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from types import TracebackType
from typing import Any

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from tune_cluster.storage.integrity import check, parse
from tune_cluster.storage.retry import print_line
from tune_cluster.storage.store import S3Store

PERIOD = 5.0
"""Seconds between two changes: 1.50 USD a month at AWS, for two requests each."""

WATCH = 4 * PERIOD
"""Seconds without a change after which a driver is taken for dead."""

DRIVER_FILE = "driver.json"


class _Said(TypedDict):
    driver: str
    host: str
    pid: int
    changes: int


SAID: TypeAdapter[_Said] = TypeAdapter(_Said)


class AtWork:
    """Says that this driver is at work on a study, for as long as the context lasts.

    Args:
        bucket: the study's.
        period, watch: seconds, as `PERIOD` and `WATCH`.

    Raises:
        ValueError: on entering: another driver is at work on it.
        OSError: on entering: the bucket cannot be reached.
    """

    def __init__(self, bucket: S3Store, *, period: float = PERIOD, watch: float = WATCH) -> None:
        self.taken = ""
        """Who has the study now, if this driver has it no more."""
        self._on_taken: Callable[[str], None] = print_line
        self._bucket = bucket
        self._period = period
        self._watch = watch
        self._me = {"driver": uuid.uuid4().hex, "host": socket.gethostname(), "pid": os.getpid()}
        self._changes = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="at-work", daemon=True)

    def __enter__(self) -> AtWork:
        self._watch_other()
        self._change()
        self._thread.start()
        return self

    def hear(self, on_taken: Callable[[str], None]) -> None:
        """From here on `on_taken` is told, once, who has taken the study; until now a person was.

        Raises:
            ValueError: another driver has it already.
        """
        self._on_taken = on_taken
        # Of two that began together one finds the other here, before anything is scheduled.
        self._look()
        if self.taken:
            raise ValueError(f"{self.taken}; wait for it, or end it")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        # Where it cannot be deleted the next driver will watch it.
        with contextlib.suppress(OSError):
            if not self.taken:
                self._bucket.delete(DRIVER_FILE)

    def _run(self) -> None:
        while not (self._ended.wait(self._period) or self.taken):
            self._look()

    def _look(self) -> None:
        """Changes the file, or hears from it that another driver has the study."""
        # Whoever cannot reach the bucket is told so by the mirror.
        with contextlib.suppress(OSError):
            said = self._said()
            if said is not None and said["driver"] != self._me["driver"]:
                self.taken = f"{driver_in(said)} has taken over the study {self._bucket}"
                self._on_taken(self.taken)
            else:
                self._change()

    def _change(self) -> None:
        self._changes += 1
        said = {**self._me, "changes": self._changes}
        self._bucket.write(DRIVER_FILE, json.dumps(said).encode())

    def _said(self) -> dict[str, Any] | None:
        try:
            said: dict[str, Any] = parse(self._bucket.read(DRIVER_FILE))
            check(SAID, said)
        except (FileNotFoundError, ValueError):
            # Nobody, or nobody's that is at work: whoever is writes it whole.
            return None
        return said

    def _watch_other(self) -> None:
        first = self._said()
        if first is None:
            return
        print_line(
            f"{driver_in(first)} has not signed off from {self._bucket}; {self._watch:.0f} s will "
            "show whether it is still at work"
        )
        deadline = time.monotonic() + self._watch
        while time.monotonic() < deadline:
            time.sleep(self._period / 5)
            said = self._said()
            if said is None:
                return
            if said != first:
                raise ValueError(
                    f"{driver_in(said)} is at work on the study {self._bucket}; wait for it, or "
                    "end it"
                )


def driver_in(said: dict[str, Any]) -> str:
    """The driver that a `driver.json` is of, for a person to find."""
    return f"the driver on {said['host']!r} (process {said['pid']})"
