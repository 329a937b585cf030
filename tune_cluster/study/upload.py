"""Upload of a study from its driver's disk to its bucket.

Each flush of the journal is uploaded before it returns, as an object of its own
(`journal/000001.jsonl`, named after the number of its first line): a driver whose machine dies has
lost nothing that it had written. Other changed files are uploaded every few seconds; an event file
after the journal, and up to the size that it had before: the bucket never has an epoch in a curve
that its journal lacks.

An unreachable bucket does not end a study: it is reported once, and the upload catches up later.
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
"""Seconds between two uploads of files other than the journal."""

LAST_TRIES = 12
"""Number of tries of the last upload of a session, one period apart."""

EVENT_FILE = "events.out.tfevents"

PIECES = "journal"

PIECE = re.compile(rf"{PIECES}/(\d+)\.jsonl")

MOST_PIECES = 1000
"""Number of objects of a journal at which they are joined: a reader needs a request for each."""

MOST_READERS = 16
"""Number of parallel requests when a journal is read."""


class JournalUpload:
    """Appends to the journal of a study in a bucket by an object per flush.

    Objects are created on the condition that they are new (`If-None-Match`), so that a driver that
    was cut off while another one took over the study cannot add to the other one's journal.

    Args:
        store: bucket of the study.
        lease: lease of the study.
        path: path of the journal on this machine.
        uploaded: part of the journal that is in the bucket; the rest of the file is uploaded with
            the first flush.
    """

    def __init__(self, store: S3Store, lease: S3Lease, path: Path, uploaded: bytes) -> None:
        self._store = store
        self._lease = lease
        self._path = path
        self._lines, self._bytes = uploaded.count(b"\n"), len(uploaded)
        """Number of lines and bytes in the bucket."""
        here = read_regular(path) if path.exists() else b""
        self._waiting = whole_lines(here)[len(uploaded) :]
        self._pieces = len((store / PIECES).files())
        self._out_of_reach = False
        self._state, self._sending = threading.Lock(), threading.Lock()

    def __call__(self, piece: bytes) -> None:
        """Upload what was appended to the file; return when that is done, or the bucket is
        unreachable or held by another driver."""
        with self._state:
            self._waiting += piece
            if self._out_of_reach:
                return
        with suppress(OSError, LeaseLostError):
            self.flush()

    def flush(self) -> None:
        """Upload what is waiting.

        Raises:
            OSError: the bucket is unreachable.
            LeaseLostError: another driver holds the study.
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
        """Join the journal to one object if it has more than `most_pieces`; raises as `flush`."""
        with self._sending:
            if self._pieces <= most_pieces:
                return
            self._lease.check()
            self._send_study_file()
            self._store.write(JOURNAL, read_regular(self._path)[: self._bytes])
            # Until they are deleted a reader finds lines twice, and uses them once.
            self._store.drop(PIECES)
            self._pieces = 0

    def _send(self, waiting: bytes) -> None:
        if not self._lines:
            self._send_study_file()
        name = f"{PIECES}/{self._lines + 1:06d}.jsonl"
        try:
            self._store.write_if(name, waiting, None)
            sent = waiting
        except ConflictError:
            # An answer was lost, and more lines came since; or another driver has written.
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

    def _send_study_file(self) -> None:
        """Upload `study.json` before the journal, which could not be resumed without it."""
        self._store.write(STUDY_FILE, read_regular(self._path.with_name(STUDY_FILE)))


def download_journal(store: S3Store, files: Iterable[str]) -> bytes:
    """Return the journal of a study in a bucket: one object from the end of a session, and those
    added since. Raise a FileNotFoundError if they were joined meanwhile: list them again."""
    files = set(files)
    pieces = sorted((int(found[1]), name) for name in files if (found := PIECE.fullmatch(name)))
    with ThreadPoolExecutor(MOST_READERS) as pool:
        contents = list(pool.map(store.read, (name for _, name in pieces)))
    # Read last: pieces that were joined after they were read are in it again.
    journal = store.read(JOURNAL) if JOURNAL in files else b""
    lines = journal.count(b"\n")
    for (first, _), content in zip(pieces, contents, strict=True):
        # If an object between two is missing, the numbers of the lines reveal it to the reader.
        if first > lines:
            journal += content
            lines = first - 1 + content.count(b"\n")
    return journal


def whole_lines(content: bytes) -> bytes:
    """Return a file up to its last newline."""
    return content[: content.rfind(b"\n") + 1]


class Stamp(NamedTuple):
    """Properties of a file that change with its content."""

    size: int
    modified_ns: int


NEVER = Stamp(size=-1, modified_ns=0)
"""Stamp of a file that this session has not uploaded."""


class DirectoryUpload:
    """Uploads changed files in a thread within a `with` block, and once more at its end; files that
    were deleted are deleted in the bucket too.

    Args:
        directory: directory of the study on this machine; it need not exist yet.
        store: bucket of the study.
        lease: lease of the study.
        journal: upload of the journal.
        period_seconds: seconds between two uploads.
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
        # Files of an earlier session that this one deletes are deleted in the bucket too.
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
        """Return whether nothing remains to be uploaded; report the first failure."""
        try:
            self.upload()
            self._journal.compact(most_pieces)
        except LeaseLostError:
            return True
        except OSError as error:
            if self._failing_since is None:
                self._failing_since = time.monotonic()
                print_line(
                    f"storage: {self._store}: {error.strerror or error}. New files are kept in "
                    f"{self._directory}, and uploaded when it is reachable again"
                )
            return False
        if self._failing_since is not None:
            seconds = time.monotonic() - self._failing_since
            self._failing_since = None
            print_line(f"storage: {self._store} is back after {seconds:.0f} s")
        return True

    def upload(self) -> None:
        """Update the bucket; raises as `JournalUpload.flush`, with every uploaded file complete."""
        found = self._found()
        # The journal first, so that it is newer than the sizes.
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
            # Replaced meanwhile: the next upload includes it.
            return
        grown = EVENT_FILE in name
        self._store.write(name, content[: stamp.size] if grown else content)
        self._uploaded[name] = stamp

    def _found(self) -> dict[str, Stamp]:
        """Return the study's files by relative path, without hidden ones."""
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
