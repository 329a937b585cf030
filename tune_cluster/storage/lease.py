"""The lock of a study in a bucket: one driver at a time has it, by S3's conditional writes.

The driver that has the study has written `driver.json`, and writes it again every few seconds, each
time on the condition that it still is what this driver wrote last (`If-Match`). It is made on the
condition that none is there (`If-None-Match: *`): of two drivers that begin together one makes
it. Who finds one watches it for `LEASE_SECONDS` of its own clock: if it changes, its driver is at
work; if not, that driver is dead or cut off, and the study is taken over, on the condition that the
lease has not changed. Of several that do so one succeeds.

A driver that could not renew its lease for that long writes nothing more to the bucket until it
has renewed it; when it finds another one's, or none, it has lost the study and ends. What it cannot
stop at once are its trials: until it ends they may write checkpoints, each whole.
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
"""Between two renewals: 2.60 USD a month at AWS, for a request each."""

LEASE_SECONDS = 4 * RENEWAL_SECONDS
"""Without a renewal, after which a driver is taken for dead."""

LEASE_FILE = "driver.json"


class _Holder(TypedDict):
    driver: str
    host: str
    pid: int
    changes: int


@dataclass(frozen=True)
class _Found:
    """The lease that lies in the bucket."""

    etag: str
    driver: str
    """The id of its driver; empty if it is damaged, and so nobody's."""
    who: str
    """Its driver, for a person to find."""


class LeaseLostError(Exception):
    """This driver has the study no more."""


class StudyInUseError(ValueError):
    """Another driver is at work on the study."""


class S3Lease:
    """Holds a study in a bucket, for as long as the context lasts.

    Raises:
        StudyInUseError: on entering: another driver is at work on it.
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
        """Who has the study now, if this driver has it no more."""
        self._on_lost: Callable[[str], None] = print_line
        self._store = store
        self._renewal_seconds = renewal_seconds
        self._lease_seconds = lease_seconds
        self._me = {"driver": uuid.uuid4().hex, "host": socket.gethostname(), "pid": os.getpid()}
        self._changes = 0
        self._etag = ""
        """Of what this driver wrote last."""
        self._held_until = 0.0
        """By `_now`."""
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
        # Where it cannot be deleted the next driver will watch it.
        with suppress(OSError, ConflictError):
            if not self.lost:
                self._store.delete_if(LEASE_FILE, self._etag)

    def on_lost(self, tell: Callable[[str], None]) -> None:
        """From here on `tell` is told, once, who has taken the study; until now a person was. A
        ValueError, if another driver has it already."""
        with self._renewing:
            if self.lost:
                raise ValueError(f"{self.lost}; wait for it, or end it")
            self._on_lost = tell

    def check(self) -> None:
        """Called before each write to the study; renews a lease that may have run out.

        Raises:
            LeaseLostError: another driver has the study.
            OSError: the lease may have run out, and the bucket is out of reach.
        """
        if not self.lost and _now() < self._held_until:
            # Without waiting for a renewal that is on its way.
            return
        with self._renewing:
            if not self.lost and _now() >= self._held_until:
                self._renew()
            if self.lost:
                raise LeaseLostError(self.lost)

    def lose(self) -> None:
        """Gives the study up, since somebody else has written what only its holder writes."""
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
            # Whoever cannot reach the bucket is told so by the upload.
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
                # Of an earlier renewal the answer was lost, and its ETag with it.
                self._write(found.etag)
        except ConflictError:
            self.lose()

    def _is_mine(self, found: _Found) -> bool:
        return found.driver == self._me["driver"]

    def _write(self, etag: str | None) -> None:
        self._changes += 1
        content = json.dumps({**self._me, "changes": self._changes}).encode()
        # From before it is sent: another driver's watch cannot have begun earlier.
        began = _now()
        self._etag = self._store.write_if(LEASE_FILE, content, etag)
        self._held_until = began + self._lease_seconds

    def _acquire(self) -> None:
        while True:
            found = self._find()
            if found is not None and found.driver:
                found = self._watch(found)
            # Where another one was faster, it is looked at next.
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
            # Whoever is at work writes it whole.
            return _Found(etag, "", "")
        who = f"the driver on {holder['host']!r} (process {holder['pid']})"
        return _Found(etag, holder["driver"], who)

    def _watch(self, first: _Found) -> _Found | None:
        """The lease of a driver that is dead, or None if it has ended meanwhile."""
        print_line(
            f"{first.who} has not signed off from {self._store}; {self._lease_seconds:.0f} s will "
            "show whether it is still at work"
        )
        deadline = time.monotonic() + self._lease_seconds
        while time.monotonic() < deadline:
            time.sleep(self._renewal_seconds / 5)
            found = self._find()
            if found is None:
                return None
            if found.etag != first.etag:
                raise StudyInUseError(
                    f"{found.who} is at work on the study {self._store}; wait for it, or end it"
                )
        return first


def _now() -> float:
    """Seconds that pass while this machine is suspended too, as another driver counts them."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def check_conditional_writes(store: S3Store) -> None:
    """Refuses, by a ValueError, an S3 that ignores the conditions of a write: two drivers would
    have one study."""
    name = f".probe-{uuid.uuid4().hex}"
    etag = store.write_if(name, b"1", None)
    try:
        for wrong in (None, etag[:-2] + ("0" if etag[-2] != "0" else "1") + etag[-1]):
            with suppress(ConflictError):
                store.write_if(name, b"2", wrong)
                raise ValueError(
                    f"{store}: this S3 ignores the conditions of a write (If-None-Match, "
                    "If-Match), without which a study there has no lock: use one that has them "
                    "(README, In a bucket)"
                )
    finally:
        store.delete(name)
