"""The directory of a study, new or found, with its lock taken before anything in it is read.

A study in a bucket has its directory on the driver's disk while it runs, and in the bucket what is
uploaded from there.
"""

from __future__ import annotations

import itertools
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from tenacity import retry, retry_if_exception_type, stop_after_attempt

from tune_cluster.plain_text import argument
from tune_cluster.storage.append_only import HeldFile
from tune_cluster.storage.checkpoints import CHECKPOINT_PREFIX
from tune_cluster.storage.inside import random_name, read_regular
from tune_cluster.storage.lease import LEASE_FILE, S3Lease, StudyInUseError
from tune_cluster.storage.retry import print_line
from tune_cluster.storage.s3 import S3Store, refusing
from tune_cluster.storage.store import SCHEME, LocalStore, Store, check_address, expanded
from tune_cluster.study.journal import JOURNAL
from tune_cluster.study.study_file import STUDY_FILE
from tune_cluster.study.upload import (
    PIECE,
    DirectoryUpload,
    JournalUpload,
    download_journal,
    whole_lines,
)

TRIALS = "trials"

JOURNAL_TRIES = 5


@dataclass(frozen=True)
class StudyDirectory:
    """Where a study lives."""

    path: Path
    """On this machine."""
    bucket: S3Store | None = None
    """That the directory is uploaded to, and that has the checkpoints."""
    lease: S3Lease | None = None
    """Of the bucket: says that the study is this driver's."""
    journal: HeldFile | None = None
    """Open and locked; None where the study is only read."""
    new: bool = False
    """Whether the directory was made for a study that has not begun."""

    @property
    def checkpoints(self) -> Store:
        """Where the trials' checkpoints lie, each trial's in a store of its own."""
        return (self.bucket or LocalStore(self.path.absolute())) / TRIALS

    @classmethod
    def create(
        cls, storage_path: str, name: str, held: ExitStack, *, numbered: bool = False
    ) -> StudyDirectory:
        """Makes the directory of a new study, which no other process has made, and locks it.

        Args:
            storage_path: a folder or `s3://bucket/folder`.
            held: lasts as long as the study is run.
            numbered: whether a name that is taken gets a number, as `name-2`.

        Raises:
            ValueError: there is such a study, or nothing can be written.
        """
        if storage_path.startswith(SCHEME):
            return cls._create_in_bucket(storage_path, name, held, numbered)
        path = new_folder(Path(storage_path), name, numbered=numbered)
        return cls(path, journal=_new_journal(path, held), new=True)

    @classmethod
    def _create_in_bucket(
        cls, storage_path: str, name: str, held: ExitStack, numbered: bool
    ) -> StudyDirectory:
        for candidate in _candidates(name, numbered):
            bucket = S3Store(storage_path) / candidate
            with refusing("--storage-path", bucket):
                bucket.probe()
                lease = _lease_of_new(bucket, held)
                if lease is not None:
                    break
                if not numbered:
                    raise ValueError(_taken(name, bucket, begun=STUDY_FILE in bucket.files()))
        assert lease is not None
        copy = copy_of(bucket)
        if copy.exists():
            raise ValueError(
                f"--name {name}: {copy} is a copy of another study of that name, which is not in "
                f"the bucket; give another name, or remove it"
            )
        path = new_folder(copy.parent, copy.name)
        return cls._in_bucket(path, bucket, lease, b"", held, new=True)

    @classmethod
    def _in_bucket(
        cls,
        path: Path,
        bucket: S3Store,
        lease: S3Lease,
        uploaded: bytes,
        held: ExitStack,
        *,
        new: bool = False,
    ) -> StudyDirectory:
        upload = JournalUpload(bucket, lease, path / JOURNAL, uploaded)
        # Not before: what is old is not uploaded, nor what a caller takes away again.
        held.enter_context(DirectoryUpload(path, bucket, lease, upload))
        open_journal = _new_journal if new else _found_journal
        return cls(path, bucket, lease, open_journal(path, held, upload), new)

    @classmethod
    def start(cls, storage_path: str, name: str, held: ExitStack) -> StudyDirectory:
        """As `create`, but for what a driver has left that was killed before its study had begun:
        it is taken over.

        Raises:
            ValueError: another driver is at work there, has begun the study by now, or something
                else is there; or nothing can be written.
        """
        if storage_path.startswith(SCHEME):
            return cls._start_in_bucket(storage_path, name, held)
        path = Path(storage_path, name)
        try:
            path.mkdir(parents=True, exist_ok=True)
            if not _is_left(path):
                raise ValueError(_taken(name, path, begun=_is_begun(path)))
            with suppress(FileExistsError):
                (path / JOURNAL).touch(exist_ok=False)
            journal = HeldFile(path / JOURNAL, create=False)
            held.callback(journal.release)
            # Again: another driver may have begun the study meanwhile, and ended.
            if not _is_left(path):
                raise ValueError(_taken(name, path, begun=_is_begun(path)))
        except OSError as error:
            raise ValueError(
                f"--storage-path {storage_path}: cannot be written ({error.strerror})"
            ) from None
        return cls(path, journal=journal, new=True)

    @classmethod
    def _start_in_bucket(cls, storage_path: str, name: str, held: ExitStack) -> StudyDirectory:
        bucket = S3Store(storage_path) / name
        with refusing("--storage-path", bucket):
            bucket.probe()
            lease = held.enter_context(S3Lease(bucket))
            files = set(bucket.files())
        if files - {LEASE_FILE, STUDY_FILE}:
            raise ValueError(_taken(name, bucket, begun=STUDY_FILE in files))
        copy = copy_of(bucket)
        if _is_begun(copy):
            print_line(f"storage: {copy} is not in {bucket}, and is now in {_set_aside(copy)}")
        shutil.rmtree(copy, ignore_errors=True)
        path = new_folder(copy.parent, copy.name)
        return cls._in_bucket(path, bucket, lease, b"", held, new=True)

    @classmethod
    def find(cls, study: str, held: ExitStack) -> StudyDirectory:
        """Where the study is that is to be resumed, locked; from a bucket, what is not on this
        machine is downloaded.

        Args:
            study: a folder or `s3://bucket/folder/name`.
            held: lasts as long as the study is run.

        Raises:
            ValueError: no study is there, another driver is at work on it, or it cannot be written.
        """
        if not study.startswith(SCHEME):
            path = Path(study)
            return cls(path, journal=_found_journal(path, held))
        bucket = S3Store(study)
        path = copy_of(bucket)
        with refusing("--resume", bucket):
            bucket.probe()
            lease = held.enter_context(S3Lease(bucket))
            uploaded = download(bucket, path)
        return cls._in_bucket(path, bucket, lease, uploaded, held)


def begun_study(storage_path: str, name: str) -> str | None:
    """The address of the study of that name, where one has begun.

    Args:
        storage_path: a folder or `s3://bucket/folder`.

    Raises:
        ValueError: the bucket cannot be read.
    """
    if not storage_path.startswith(SCHEME):
        path = Path(storage_path, name)
        return str(path) if _is_begun(path) else None
    bucket = S3Store(storage_path) / name
    with refusing("--storage-path", bucket):
        files = bucket.files()
    journal = any(name == JOURNAL or PIECE.fullmatch(name) for name in files)
    return str(bucket) if STUDY_FILE in files and journal else None


def _is_begun(directory: Path) -> bool:
    return (directory / STUDY_FILE).exists()


def _is_left(directory: Path) -> bool:
    """Whether nothing but what a driver leaves that was killed before its study had begun: an empty
    journal, an empty folder of trials, hidden files."""
    found = {path.name: path for path in directory.iterdir() if not path.name.startswith(".")}
    journal, trials = found.pop(JOURNAL, None), found.pop(TRIALS, None)
    lines = journal is not None and journal.lstat().st_size > 0
    return not (found or lines or (trials is not None and any(trials.iterdir())))


def _lease_of_new(bucket: S3Store, held: ExitStack) -> S3Lease | None:
    """The lease of a study that is about to begin; None where another one has begun there."""
    if bucket.files():
        return None
    with ExitStack() as leased, suppress(StudyInUseError):
        lease = leased.enter_context(S3Lease(bucket))
        # Again: while this one waited for it, another driver may have begun the study and ended.
        if set(bucket.files()) <= {LEASE_FILE}:
            held.push(leased.pop_all())
            return lease
    return None


def new_folder(folder: Path, name: str, *, numbered: bool = False) -> Path:
    """Makes the folder of that name, or a ValueError: of two processes one makes it.

    Args:
        folder: that it is made in; made too where it is missing.
        numbered: whether a name that is taken gets a number, as `name-2`.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for candidate in _candidates(name, numbered):
            directory = folder / candidate
            try:
                directory.mkdir()
            except FileExistsError:
                if numbered:
                    continue
                raise ValueError(_taken(name, directory, begun=_is_begun(directory))) from None
            return directory
    except OSError as error:
        raise ValueError(f"--storage-path {folder}: cannot be written ({error.strerror})") from None
    raise AssertionError("there is always a next number")


def _candidates(name: str, numbered: bool) -> Iterator[str]:
    yield name
    if numbered:
        yield from (f"{name}-{number}" for number in itertools.count(2))


def _taken(name: str, study: Path | S3Store, *, begun: bool) -> str:
    if begun:
        way_out = f"; give another name, or --resume {argument(str(study))}"
    else:
        way_out = (
            ", and has no study that could be resumed: another job is about to begin it, or was "
            "killed before it had; give another name, or remove it"
        )
    return f"--name {name}: {study} exists{way_out}"


def _new_journal(directory: Path, held: ExitStack, upload: JournalUpload | None = None) -> HeldFile:
    try:
        journal = HeldFile(directory / JOURNAL, create=True, upload=upload)
    except OSError as error:
        shutil.rmtree(directory, ignore_errors=True)
        raise ValueError(
            f"--storage-path {directory.parent}: cannot be written ({error.strerror})"
        ) from None
    held.callback(journal.release)
    return journal


def _found_journal(
    directory: Path, held: ExitStack, upload: JournalUpload | None = None
) -> HeldFile:
    if not _is_begun(directory):
        raise ValueError(f"--resume {directory}: no study is there (it has no {STUDY_FILE})")
    try:
        journal = HeldFile(directory / JOURNAL, create=False, upload=upload)
    except FileNotFoundError:
        raise ValueError(
            f"--resume {directory}: {JOURNAL} is missing, and with it all that its trials were; "
            "start a new study"
        ) from None
    except OSError as error:
        raise ValueError(
            f"--resume {directory}: {JOURNAL} cannot be written ({error.strerror})"
        ) from None
    held.callback(journal.release)
    return journal


def local_copy(study: str) -> Path:
    """The folder of a study, by its address, that is to be looked at; of one in a bucket, a copy
    brought here. A ValueError, if no study is there, or the bucket cannot be read."""
    study = expanded("STUDY", study)
    check_address("STUDY", study)
    if not study.startswith(SCHEME):
        return Path(study)
    bucket = S3Store(study)
    directory = copy_of(bucket)
    with refusing("STUDY", bucket):
        download(bucket, directory)
    return directory


def download(bucket: S3Store, directory: Path) -> bytes:
    """Makes `directory` the study in the bucket, all but its checkpoints; the bucket's journal.

    The journal decides. If this machine's only goes on where that of the bucket ends, the bucket
    was out of reach when its driver ended, and what is here stays; else what is in the bucket is
    true, and what is here and never came to be there is set aside.

    Raises:
        ValueError: no study is there.
        OSError: the bucket cannot be read.
    """
    files, there = _listed(bucket)
    journal = directory / JOURNAL
    here = whole_lines(read_regular(journal)) if os.path.lexists(journal) else None
    if here is not None and here.startswith(there):
        if more := here.count(b"\n") - there.count(b"\n"):
            print_line(
                f"storage: {journal} goes on after that in {bucket} for {more} lines: they count"
            )
        return there
    unfinished = directory.with_name(random_name(directory.name))
    unfinished.mkdir(parents=True)
    with ExitStack() as leaving:
        # Where the bucket cannot be read to its end, nothing is left of what was.
        leaving.callback(shutil.rmtree, unfinished, ignore_errors=True)
        for name in filter(is_of_the_directory, files):
            # A driver that is at work may have deleted it since.
            with suppress(FileNotFoundError):
                _write_new(unfinished / name, bucket.read(name))
        if any(name == JOURNAL or PIECE.fullmatch(name) for name in files):
            _write_new(unfinished / JOURNAL, there)
        if here is not None and not there.startswith(here):
            print_line(
                f"storage: {bucket} went on elsewhere; what only this machine had is in "
                f"{_set_aside(directory)}"
            )
        shutil.rmtree(directory, ignore_errors=True)
        unfinished.rename(directory)
    return there


def _set_aside(directory: Path) -> Path:
    return directory.rename(f"{directory}.before-{time.strftime('%Y%m%d-%H%M%S')}")


# A driver that is at work may make one object of its journal's many meanwhile.
@retry(
    retry=retry_if_exception_type(FileNotFoundError),
    stop=stop_after_attempt(JOURNAL_TRIES),
    reraise=True,
)
def _listed(bucket: S3Store) -> tuple[list[str], bytes]:
    """The files of a study in a bucket, and its journal."""
    files = bucket.files()
    if STUDY_FILE not in files:
        raise ValueError(f"{bucket}: no study is there (it has no {STUDY_FILE})")
    return list(files), whole_lines(download_journal(bucket, files))


def _write_new(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        file.write(content)


def is_of_the_directory(name: str) -> bool:
    """Whether a file of a bucket is downloaded as it is: the journal is put together, a checkpoint
    stays, and so does what would come to lie beside the study."""
    parts = Path(name).parts
    hidden = any(part.startswith(".") for part in parts)
    checkpoint = len(parts) > 2 and parts[0] == TRIALS and parts[2].startswith(CHECKPOINT_PREFIX)
    journal = name == JOURNAL or PIECE.fullmatch(name) is not None
    return not (hidden or checkpoint or journal or name == LEASE_FILE or name.startswith("/"))


def copy_of(bucket: S3Store) -> Path:
    """Where this machine has the copy of a study in a bucket, if it has one."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache, "tune-cluster", bucket.path)
