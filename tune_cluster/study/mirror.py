"""A study's directory on the head's disk, copied to its bucket every few seconds.

A bucket cannot append: the journal is uploaded whole. An event file is uploaded after it, and no
further than it went when the journal was read: whenever a head dies, the bucket has no epoch in a
curve that its journal does not know.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tune_cluster.plain_text import argument
from tune_cluster.storage.inside import check_regular, read_regular
from tune_cluster.storage.lease import AtWork
from tune_cluster.storage.retry import print_line
from tune_cluster.storage.store import S3Store
from tune_cluster.study.journal import JOURNAL

PERIOD = 5.0
"""Seconds between two copies: what a head that dies can lose."""

LAST_TRIES = 12
"""Of the last copy of a session, a period apart."""

EVENT_FILE = "events.out.tfevents"


@dataclass(frozen=True)
class Stamp:
    """What changes with a file."""

    size: int
    modified_ns: int


class Mirror:
    """Copies what has changed; a file that has vanished is deleted in the bucket too.

    Args:
        directory: of the study on this machine; it may not be there yet.
        bucket: the study's.
    """

    def __init__(self, directory: Path, bucket: S3Store) -> None:
        self._directory = directory
        self._bucket = bucket
        self._copied: dict[str, Stamp] = {}

    def copy(self) -> None:
        """Brings the bucket up to date.

        Raises:
            OSError: it cannot be reached; what was copied by then is whole.
        """
        found = self._found()
        # The journal first: the sizes are older than it.
        for name in sorted(found, key=lambda name: name != JOURNAL):
            if self._copied.get(name) != found[name]:
                self._upload(name, found[name])
        for name in set(self._copied) - set(found):
            self._bucket.delete(name)
            del self._copied[name]

    def _upload(self, name: str, stamp: Stamp) -> None:
        try:
            content = read_regular(self._directory / name)
        except (FileNotFoundError, ValueError):
            # Replaced meanwhile: the next copy has it.
            return
        grown = EVENT_FILE in name
        self._bucket.write(name, content[: stamp.size] if grown else content)
        self._copied[name] = stamp

    def _found(self) -> dict[str, Stamp]:
        """The study's files by their paths in it; hidden ones are of nobody's interest later."""
        found = {}
        for folder, below, files in os.walk(self._directory):
            below[:] = [name for name in below if not name.startswith(".")]
            for file in files:
                path = Path(folder, file)
                if file.startswith("."):
                    continue
                with suppress(FileNotFoundError, ValueError):
                    stat = path.lstat()
                    check_regular(path, stat.st_mode)
                    name = path.relative_to(self._directory).as_posix()
                    # An empty journal is the lock of a study that has not begun.
                    if stat.st_size or name != JOURNAL:
                        found[name] = Stamp(stat.st_size, stat.st_mtime_ns)
        return found


@contextmanager
def mirrored(
    directory: Path, bucket: S3Store, at_work: AtWork, period: float = PERIOD
) -> Iterator[None]:
    """Copies for as long as the context lasts, by a thread, and once more at its end.

    A bucket out of reach is told once, and again when it is back; no study ends by it.

    Args:
        directory, bucket: of the study.
        at_work: says whether it still is this driver's.
        period: seconds, as `PERIOD`.
    """
    mirror = Mirror(directory, bucket)
    ended = threading.Event()
    failing_since: list[float] = []

    def copied() -> bool:
        if at_work.taken:
            return True
        try:
            mirror.copy()
        except OSError as error:
            if not failing_since:
                failing_since.append(time.monotonic())
                why = error.strerror or error
                print_line(
                    f"storage: {bucket}: {why}. What happens is kept in {directory}, and copied "
                    "when that is over"
                )
            return False
        if failing_since:
            seconds = time.monotonic() - failing_since.pop()
            print_line(f"storage: {bucket} is back after {seconds:.0f} s")
        return True

    def run() -> None:
        while not ended.wait(period):
            copied()

    thread = threading.Thread(target=run, name="mirror", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        for _ in range(LAST_TRIES):
            if copied():
                break
            time.sleep(period)
        else:
            print_line(
                f"storage: {bucket} lacks the end of this session: --resume "
                f"{argument(str(bucket))} on this "
                f"machine takes it from {directory}"
            )
