"""Retries of operations that fail because the storage is full or away, with a line for the user.

The trial or the driver that needs the storage waits for it, so that no checkpoint and no epoch is
lost. A mount point that is away looks like a folder that was never created, so a `StorageRetry`
gets a store that exists for as long as the study does.
"""

from __future__ import annotations

import errno
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, wait_exponential

from tune_cluster.storage.store import Store, disk_is_full

Result = TypeVar("Result")

FULL_ERRNOS = (errno.ENOSPC, errno.EDQUOT)

AWAY_ERRNOS = (
    # Linux makes a disk with errors read-only, and some servers are so for a while.
    *(errno.EROFS, errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ENODEV, errno.ENXIO),
    *(errno.ETIMEDOUT, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ECONNRESET, errno.EREMOTEIO),
)

SLICE_SECONDS = 0.2
"""Seconds between two checks, while waiting, whether to give up."""


@dataclass(frozen=True)
class RetryPolicy:
    """Times of the retries."""

    first_seconds: float = 0.5
    """Seconds before the first retry; doubled before each further one."""
    longest_seconds: float = 10.0
    """Longest time between two retries, in seconds."""
    total_seconds: float = 600.0
    """Total seconds. Ten minutes let a person free some space, or a server restart."""


RETRY_POLICY = RetryPolicy()


class StorageLostError(OSError):
    """The storage failed for longer than the retry policy allows."""


def print_line(line: str) -> None:
    """Print a line for the user, on the driver; a live status continues below it."""
    print(line, file=sys.stderr)


class StorageRetry:
    """Calls an operation of the storage: `retry(act)` is `act()`, repeated until the storage works.

    `act` may be called several times, and must start anew each time. Any other error is raised at
    once.

    Args:
        store: a store that exists as long as the storage does.
        tell: called with a line when the storage fails, and one when it works again.
        give_up: called while it waits; returns whether to stop waiting. None never gives up early.
        policy: times of the retries.

    Raises:
        StorageLostError: the storage failed for too long.
    """

    def __init__(
        self,
        store: Store,
        tell: Callable[[str], None] = print_line,
        give_up: Callable[[], bool] | None = None,
        policy: RetryPolicy | None = None,
    ) -> None:
        self.store = store
        self._tell = tell
        self._give_up = give_up
        self._policy = RETRY_POLICY if policy is None else policy

    def __call__(self, act: Callable[[], Result]) -> Result:
        """Return the result of `act`."""
        began = time.monotonic()
        try:
            # The usual case: tenacity's objects cost more than a line of the journal.
            return act()
        except OSError as error:
            if not self._failed(error):
                raise
            first: list[OSError] = [error]

        def again() -> Result:
            if first:
                raise first.pop()
            return act()

        failed: list[str] = []

        def note(state: RetryCallState) -> None:
            if not failed:
                failed.append(self._say_why(_error_of(state)))

        policy = self._policy
        retrying = Retrying(
            retry=retry_if_exception(self._failed),
            wait=wait_exponential(multiplier=policy.first_seconds, max=policy.longest_seconds),
            stop=lambda _: self._gives_up() or time.monotonic() - began > policy.total_seconds,
            sleep=self._sleep,
            before_sleep=note,
            retry_error_callback=self._lost,
        )
        result = retrying(again)
        self._tell(f"storage: {failed[0]} is back after {time.monotonic() - began:.0f} s")
        return result

    def wait(self) -> None:
        """Wait until the storage exists: before it is read, since absent storage looks empty."""
        self(self._look)

    def _gives_up(self) -> bool:
        return self._give_up is not None and self._give_up()

    def _look(self) -> None:
        if not self.store.exists():
            raise FileNotFoundError(str(self.store))

    def _failed(self, error: BaseException) -> bool:
        if not isinstance(error, OSError) or isinstance(error, StorageLostError):
            return False
        if isinstance(error, FileNotFoundError):
            return not self.store.exists()
        return error.errno in (*FULL_ERRNOS, *AWAY_ERRNOS)

    def _sleep(self, seconds: float) -> None:
        # Not one long sleep, nor an event: a signal handler may not set an event that is waited
        # for.
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self._gives_up():
            time.sleep(min(SLICE_SECONDS, seconds))

    def _say_why(self, error: OSError) -> str:
        """Report the failure, and return its location."""
        where = self._where(error)
        way_out = "free some" if error.errno in FULL_ERRNOS else "bring it back"
        between, minutes = self._policy.longest_seconds, self._policy.total_seconds / 60
        self._tell(
            f"storage: {_reason(error)} on {where}; waiting, retried every {between:g} s for "
            f"{minutes:g} min: {way_out}, or end the study and resume it later"
        )
        return where

    def _lost(self, state: RetryCallState) -> NoReturn:
        error = _error_of(state)
        raise StorageLostError(error.errno, _reason(error), self._where(error)) from error

    def _where(self, error: OSError) -> str:
        """Return the location of an error; files pass this node's own disk, which may be full."""
        storage = str(self.store)
        if error.errno != errno.ENOSPC:
            return storage
        own = tempfile.gettempdir()
        elsewhere = not self.store.is_full()
        return own if own == error.filename or (disk_is_full(own) and elsewhere) else storage


def _error_of(state: RetryCallState) -> OSError:
    error = None if state.outcome is None else state.outcome.exception()
    assert isinstance(error, OSError)
    return error


def _reason(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "its mount point is away, nothing is there"
    if error.errno == errno.EREMOTEIO:
        # A bucket's error explains itself.
        return str(error.strerror)
    return os.strerror(error.errno).lower() if error.errno else str(error)
