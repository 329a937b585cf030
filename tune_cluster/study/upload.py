"""What a study in a bucket writes on its driver's disk, brought to the bucket.

Each flush of the journal is there before it returns, as an object of its own
(`journal/000001.jsonl`, named after the number of its first line): a driver whose machine dies has
lost nothing that it had written down. What else has changed is uploaded every few seconds; an event
file after the journal, and no further than it went before: the bucket never has an epoch in a curve
that its journal does not know.

A bucket out of reach ends no study: it is told once, and the upload catches up when it is back.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from tune_cluster.plain_text import argument
from tune_cluster.storage.inside import check_regular, read_regular
from tune_cluster.storage.lease import LeaseLostError, S3Lease
from tune_cluster.storage.retry import print_line
from tune_cluster.storage.s3 import ConflictError, S3Store
from tune_cluster.study.journal import JOURNAL
from tune_cluster.study.study_file import STUDY_FILE

UPLOAD_SECONDS = 5.0
"""Between two uploads of what is no journal."""

LAST_TRIES = 12
"""Of the last upload of a session, a period apart."""

EVENT_FILE = "events.out.tfevents"

PIECES = "journal"

PIECE = re.compile(rf"{PIECES}/(\d+)\.jsonl")

MOST_PIECES = 1000
"""Objects of a journal, after which they become one: a reader needs a request for each."""

MOST_READERS = 16
"""Requests at once, of a journal that is read."""


class JournalUpload:
    """Appends to the journal of a study in a bucket, which has no append: an object a flush.

    Objects are made on the condition that they are new (`If-None-Match`), so that a driver that was
    cut off while another one took the study over adds nothing to the other one's journal.

    Args:
        path: of the journal on this machine.
        uploaded: what the bucket has of it; what the file has after that is uploaded with the first
            flush.
    """

    def __init__(self, store: S3Store, lease: S3Lease, path: Path, uploaded: bytes) -> None:
        self._store = store
        self._lease = lease
        self._path = path
        self._lines, self._bytes = uploaded.count(b"\n"), len(uploaded)
        """That are in the bucket."""
        here = read_regular(path) if path.exists() else b""
        self._waiting = whole_lines(here)[len(uploaded) :]
        self._pieces = len((store / PIECES).files())
        self._out_of_reach = False
        self._state, self._sending = threading.Lock(), threading.Lock()

    def __call__(self, piece: bytes) -> None:
        """Uploads what was appended to the file; returns when it is there, or the bucket is out of
        reach or another driver's."""
        with self._state:
            self._waiting += piece
            if self._out_of_reach:
                return
        with suppress(OSError, LeaseLostError):
            self.flush()

    def flush(self) -> None:
        """Uploads what is waiting.

        Raises:
            OSError: the bucket is out of reach.
            LeaseLostError: the study is another driver's.
        """
        with self._sending:
            try:
                while waiting := self._waiting:
                    self._lease.check()
                    self._send(waiting)
            except OSError:
                self._out_of_reach = True
                raise
            self._out_of_reach = False

    def compact(self, most_pieces: int) -> None:
        """Makes the journal one object again where it has more pieces than that; raises as `flush`
        does."""
        with self._sending:
            if self._pieces <= most_pieces:
                return
            self._lease.check()
            self._store.write(JOURNAL, read_regular(self._path)[: self._bytes])
            # A reader finds lines twice until they are gone, and takes them once.
            self._store.drop(PIECES)
            self._pieces = 0

    def _send(self, waiting: bytes) -> None:
        if not self._lines:
            # First: a journal beside no `study.json` would be one that nobody can resume.
            about = self._path.with_name(STUDY_FILE)
            self._store.write(STUDY_FILE, read_regular(about))
        name = f"{PIECES}/{self._lines + 1:06d}.jsonl"
        try:
            self._store.write_if(name, waiting, None)
            sent = waiting
        except ConflictError:
            # An answer was lost, and more has come since; or another driver was here.
            tagged = self._store.read_tagged(name)
            if tagged is None:
                return
            sent = tagged[0]
            if not sent or not waiting.startswith(sent):
                self._lease.lose()
                raise LeaseLostError(self._lease.lost) from None
        with self._state:
            self._waiting = self._waiting[len(sent) :]
        self._lines, self._bytes = self._lines + sent.count(b"\n"), self._bytes + len(sent)
        self._pieces += 1


def download_journal(store: S3Store, files: Iterable[str]) -> bytes:
    """The journal of a study in a bucket: one object, as it was at the end of a session, and those
    that were added since. A FileNotFoundError if they became one meanwhile: list them again."""
    files = set(files)
    pieces = sorted((int(found[1]), name) for name in files if (found := PIECE.fullmatch(name)))
    with ThreadPoolExecutor(MOST_READERS) as pool:
        contents = list(pool.map(store.read, (name for _, name in pieces)))
    # Last: what became one object after it was read is found in that again.
    journal = store.read(JOURNAL) if JOURNAL in files else b""
    lines = journal.count(b"\n")
    for (first, _), content in zip(pieces, contents, strict=True):
        # Where an object is missing between two, the numbers of the lines say so to who reads them.
        if first > lines:
            journal += content
            lines = first - 1 + content.count(b"\n")
    return journal


def whole_lines(content: bytes) -> bytes:
    """A file up to its last end of a line."""
    return content[: content.rfind(b"\n") + 1]


class Stamp(NamedTuple):
    """What changes with a file."""

    size: int
    modified_ns: int


NEVER = Stamp(size=-1, modified_ns=0)
"""Of a file that this session has not uploaded."""


class DirectoryUpload:
    """Uploads what has changed, in a thread for as long as the context lasts, and once more at its
    end; what has vanished is deleted in the bucket too.

    Args:
        directory: of the study on this machine; it may not be there yet.
    """

    def __init__(
        self,
        directory: Path,
        store: S3Store,
        lease: S3Lease,
        journal: JournalUpload,
        *,
        period_seconds: float = UPLOAD_SECONDS,
    ) -> None:
        self._directory = directory
        self._store = store
        self._lease = lease
        self._journal = journal
        self._period_seconds = period_seconds
        self._uploaded: dict[str, Stamp] = {}
        self._failing_since: float | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="upload", daemon=True)

    def __enter__(self) -> DirectoryUpload:
        # What an earlier session has left and this one takes away goes from the bucket too.
        self._uploaded = dict.fromkeys(self._found(), NEVER)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()
        for _ in range(LAST_TRIES):
            if self._try(most_pieces=0):
                return
            time.sleep(self._period_seconds)
        print_line(
            f"storage: {self._store} lacks the end of this session: --resume "
            f"{argument(str(self._store))} on this machine takes it from {self._directory}"
        )

    def _run(self) -> None:
        while not self._ended.wait(self._period_seconds):
            self._try()

    def _try(self, most_pieces: int = MOST_PIECES) -> bool:
        """Whether nothing is left to be done; says once that it fails."""
        try:
            self.upload()
            self._journal.compact(most_pieces)
        except LeaseLostError:
            return True
        except OSError as error:
            if self._failing_since is None:
                self._failing_since = time.monotonic()
                print_line(
                    f"storage: {self._store}: {error.strerror or error}. What happens is kept in "
                    f"{self._directory}, and copied when that is over"
                )
            return False
        if self._failing_since is not None:
            seconds = time.monotonic() - self._failing_since
            self._failing_since = None
            print_line(f"storage: {self._store} is back after {seconds:.0f} s")
        return True

    def upload(self) -> None:
        """Brings the bucket up to date; raises as `JournalUpload.flush` does, and what was uploaded
        by then is whole."""
        found = self._found()
        # The journal first: the sizes are older than it.
        self._journal.flush()
        for name, stamp in sorted(found.items()):
            if self._uploaded.get(name) != stamp:
                self._lease.check()
                self._upload(name, stamp)
        for name in set(self._uploaded) - set(found):
            self._lease.check()
            self._store.delete(name)
            del self._uploaded[name]

    def _upload(self, name: str, stamp: Stamp) -> None:
        try:
            content = read_regular(self._directory / name)
        except (FileNotFoundError, ValueError):
            # Replaced meanwhile: the next upload has it.
            return
        grown = EVENT_FILE in name
        self._store.write(name, content[: stamp.size] if grown else content)
        self._uploaded[name] = stamp

    def _found(self) -> dict[str, Stamp]:
        """The study's files by their paths in it; hidden ones are of nobody's interest later."""
        found = {}
        for folder, below, files in os.walk(self._directory):
            below[:] = [name for name in below if not name.startswith(".")]
            for file in files:
                path = Path(folder, file)
                name = path.relative_to(self._directory).as_posix()
                if file.startswith(".") or name == JOURNAL:
                    continue
                with suppress(FileNotFoundError, ValueError):
                    stat = path.lstat()
                    check_regular(path, stat.st_mode)
                    found[name] = Stamp(stat.st_size, stat.st_mtime_ns)
        return found
