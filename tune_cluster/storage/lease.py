"""Lock of a study in a bucket: one driver at a time holds it, by S3's conditional writes.

The driver that holds the study has written `driver.json`, and rewrites it every few seconds, on the
condition that it is unchanged since (`If-Match`). It is created on the condition that none exists
(`If-None-Match: *`): of two drivers that begin at the same time one creates it. A driver that finds
an existing lease watches it for `LEASE_SECONDS` of its own clock: if it changes, its driver is
running; if not, that driver is dead or cut off, and the study is taken over, on the condition that
the lease has not changed. Of several drivers that do so one succeeds.

A driver that could not renew its lease for that time writes nothing more to the bucket until it has
renewed it; if it finds another driver's lease, or none, it has lost the study and ends. Its trials
cannot be stopped at once: until it ends they may write checkpoints, each a complete one.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from typing_extensions import TypedDict

from tune_cluster.storage.integrity import check, parse
from tune_cluster.storage.retry import print_line
from tune_cluster.storage.s3 import ConflictError, S3Store

RENEWAL_SECONDS = 5.0
"""Seconds between two renewals: 2.60 USD a month at AWS, at one request each."""

LEASE_SECONDS = 4 * RENEWAL_SECONDS
"""Seconds without a renewal after which a driver is considered dead."""

LEASE_FILE = "driver.json"


class _Holder(TypedDict):
    driver: str
    host: str
    pid: int
    changes: int


@dataclass(frozen=True)
class _Found:
    """The lease found in the bucket."""

    etag: str
    driver: str
    """Id of its driver; empty if the lease is damaged and so has no holder."""
    who: str
    """Description of its driver, so that the user can find it."""


class LeaseLostError(Exception):
    """This driver no longer holds the study."""


class StudyInUseError(ValueError):
    """Another driver is running the study."""


class S3Lease:
    """Holds a study in a bucket within a `with` block.

    Raises:
        StudyInUseError: on entering: another driver is running it.
        ValueError: on entering: this S3 has no conditional writes.
    """

    def __init__(
        self,
        store: S3Store,
        *,
        renewal_seconds: float = RENEWAL_SECONDS,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self.lost = ""
        """Description of the driver that has taken over the study; empty while this one holds
        it."""
        self._on_lost: Callable[[str], None] = print_line
        self._store = store
        self._renewal_seconds = renewal_seconds
        self._lease_seconds = lease_seconds
        self._me = {"driver": uuid.uuid4().hex, "host": socket.gethostname(), "pid": os.getpid()}
        self._changes = 0
        self._etag = ""
        """ETag of the lease that this driver wrote last."""
        self._held_until = 0.0
        """Time by `_now` until which the lease is valid."""
        self._renewing = threading.RLock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease", daemon=True)

    def __enter__(self) -> S3Lease:
        check_conditional_writes(self._store)
        self._acquire()
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()
        # If it cannot be deleted, the next driver watches it.
        with suppress(OSError, ConflictError):
            if not self.lost:
                self._store.delete_if(LEASE_FILE, self._etag)

    def on_lost(self, tell: Callable[[str], None]) -> None:
        """Set a function to call once with the driver that has taken over the study; until now a
        line was printed.

        Raises:
            ValueError: another driver has it already.
        """
        with self._renewing:
            if self.lost:
                raise ValueError(f"{self.lost}; wait for it, or end it")
            self._on_lost = tell

    def check(self) -> None:
        """Check the lease before a write to the study; renew it if it may have expired.

        Raises:
            LeaseLostError: another driver has the study.
            OSError: the lease may have expired, and the bucket is not reachable.
        """
        if not self.lost and _now() < self._held_until:
            # Do not wait for a renewal in progress.
            return
        with self._renewing:
            if not self.lost and _now() >= self._held_until:
                self._renew()
            if self.lost:
                raise LeaseLostError(self.lost)

    def lose(self) -> None:
        """Give up the study, since another driver has written what only its holder writes."""
        with self._renewing:
            if self.lost:
                return
            found = None
            with suppress(OSError):
                found = self._find()
            who = "another driver, which has ended,"
            if found is not None and found.driver:
                who = "another driver" if self._is_mine(found) else found.who
            self.lost = f"{who} has taken over the study {self._store}"
            self._on_lost(self.lost)

    def _run(self) -> None:
        while not (self._ended.wait(self._renewal_seconds) or self.lost):
            # The upload reports that the bucket is not reachable.
            with suppress(OSError), self._renewing:
                if not self.lost:
                    self._renew()

    def _renew(self) -> None:
        try:
            try:
                self._write(self._etag)
            except ConflictError:
                found = self._find()
                if found is None or not self._is_mine(found):
                    raise
                # The answer to an earlier renewal was lost, and its ETag with it.
                self._write(found.etag)
        except ConflictError:
            self.lose()

    def _is_mine(self, found: _Found) -> bool:
        return found.driver == self._me["driver"]

    def _write(self, etag: str | None) -> None:
        self._changes += 1
        content = json.dumps({**self._me, "changes": self._changes}).encode()
        # The time before sending: another driver's watch cannot have begun earlier.
        began = _now()
        self._etag = self._store.write_if(LEASE_FILE, content, etag)
        self._held_until = began + self._lease_seconds

    def _acquire(self) -> None:
        while True:
            found = self._find()
            if found is not None and found.driver:
                found = self._watch(found)
            # If another driver was faster, its lease is found next.
            with suppress(ConflictError):
                self._write(None if found is None else found.etag)
                return

    def _find(self) -> _Found | None:
        tagged = self._store.read_tagged(LEASE_FILE)
        if tagged is None:
            return None
        content, etag = tagged
        try:
            holder: _Holder = parse(content)
            check(_Holder, holder)
        except ValueError:
            # A running driver writes complete leases.
            return _Found(etag, "", "")
        who = f"the driver on {holder['host']!r} (process {holder['pid']})"
        return _Found(etag, holder["driver"], who)

    def _watch(self, first: _Found) -> _Found | None:
        """Return the lease of a dead driver, or None if its driver has ended meanwhile."""
        print_line(
            f"{first.who} has not released {self._store}; {self._lease_seconds:.0f} s will "
            "show whether it is still running"
        )
        deadline = time.monotonic() + self._lease_seconds
        while time.monotonic() < deadline:
            time.sleep(self._renewal_seconds / 5)
            found = self._find()
            if found is None:
                return None
            if found.etag != first.etag:
                raise StudyInUseError(
                    f"{found.who} is running the study {self._store}; wait for it, or end it"
                )
        return first


def _now() -> float:
    """Return seconds of a clock that continues while the machine is suspended, as another driver
    sees time."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def check_conditional_writes(store: S3Store) -> None:
    """Raise a ValueError if an S3 ignores the conditions of a write: two drivers could hold one
    study."""
    name = f".probe-{uuid.uuid4().hex}"
    etag = store.write_if(name, b"1", None)
    try:
        for wrong in (None, etag[:-2] + ("0" if etag[-2] != "0" else "1") + etag[-1]):
            with suppress(ConflictError):
                store.write_if(name, b"2", wrong)
                raise ValueError(
                    f"{store}: this S3 ignores the conditions of a write (If-None-Match, "
                    "If-Match), without which a study there has no lock: use one that has them "
                    "(docs/studies.md, In a bucket)"
                )
    finally:
        store.delete(name)
