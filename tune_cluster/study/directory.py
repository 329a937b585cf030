"""The directory of a study, new or existing, locked before any of its files is read.

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
    """Location of a study."""

    path: Path
    """Directory on this machine."""
    bucket: S3Store | None = None
    """Bucket that the directory is uploaded to, and that has the checkpoints."""
    lease: S3Lease | None = None
    """Lease of the bucket, by which this driver holds the study."""
    journal: HeldFile | None = None
    """Journal, open and locked; None if the study is only read."""
    new: bool = False
    """Whether the directory was created for a study that has not begun."""

    @property
    def checkpoints(self) -> Store:
        """Store of the checkpoints, in which each trial has a store of its own."""
        return (self.bucket or LocalStore(self.path.absolute())) / TRIALS

    @classmethod
    def create(
        cls, storage_path: str, name: str, held: ExitStack, *, numbered: bool = False
    ) -> StudyDirectory:
        """Create the directory of a new study, which no other process has created, and lock it.

        Args:
            storage_path: a folder or `s3://bucket/folder`.
            name: name of the study.
            held: context that lasts as long as the study runs.
            numbered: whether a used name gets a number, as `name-2`.

        Raises:
            ValueError: such a study exists, or the storage is not writable.
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
        # Not earlier: neither old files nor those that a caller removes again are uploaded.
        held.enter_context(DirectoryUpload(path, bucket, lease, upload))
        open_journal = _new_journal if new else _found_journal
        return cls(path, bucket, lease, open_journal(path, held, upload), new)

    @classmethod
    def start(cls, storage_path: str, name: str, held: ExitStack) -> StudyDirectory:
        """Create a study as `create`, or take over the directory of a driver that was killed before
        its study had begun.

        Raises:
            ValueError: another driver is running there, has begun the study by now, or the name is
                used otherwise; or the storage is not writable.
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
        """Find the study to resume and lock it; from a bucket, download what this machine lacks.

        Args:
            study: a folder or `s3://bucket/folder/name`.
            held: context that lasts as long as the study runs.

        Raises:
            ValueError: there is no study, another driver is running it, or it is not writable.
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
    """Return the address of the study of that name, if one has begun.

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
    """Return whether a directory has only files of a driver that was killed before its study had
    begun: an empty journal, an empty folder of trials, hidden files."""
    found = {path.name: path for path in directory.iterdir() if not path.name.startswith(".")}
    journal, trials = found.pop(JOURNAL, None), found.pop(TRIALS, None)
    lines = journal is not None and journal.lstat().st_size > 0
    return not (found or lines or (trials is not None and any(trials.iterdir())))


def _lease_of_new(bucket: S3Store, held: ExitStack) -> S3Lease | None:
    """Return the lease of a study that is about to begin; None if another one has begun there."""
    if bucket.files():
        return None
    with ExitStack() as leased, suppress(StudyInUseError):
        lease = leased.enter_context(S3Lease(bucket))
        # Checked again: during the wait another driver may have begun the study and ended.
        if set(bucket.files()) <= {LEASE_FILE}:
            held.push(leased.pop_all())
            return lease
    return None


def new_folder(folder: Path, name: str, *, numbered: bool = False) -> Path:
    """Create the folder of that name; of two processes one succeeds.

    Args:
        folder: parent folder; created too if it is missing.
        name: name of the new folder.
        numbered: whether a used name gets a number, as `name-2`.

    Raises:
        ValueError: it exists, or cannot be created.
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
            f"--resume {directory}: {JOURNAL} is missing, and with it the results of all trials; "
            "start a new study"
        ) from None
    except OSError as error:
        raise ValueError(
            f"--resume {directory}: {JOURNAL} cannot be written ({error.strerror})"
        ) from None
    held.callback(journal.release)
    return journal


def local_copy(study: str) -> Path:
    """Return the folder of a study for reading, by its address; of a study in a bucket, a
    downloaded copy. Raise a ValueError if there is no study, or the bucket cannot be read."""
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
    """Update `directory` to the study in the bucket, without checkpoints; return the bucket's
    journal.

    The journal decides. If the local one continues that of the bucket, the bucket was unreachable
    when its driver ended, and the local files are kept; else the bucket is right, and local files
    that were never uploaded are set aside.

    Raises:
        ValueError: there is no study.
        OSError: the bucket cannot be read.
    """
    files, there = _listed(bucket)
    journal = directory / JOURNAL
    here = whole_lines(read_regular(journal)) if os.path.lexists(journal) else None
    if here is not None and here.startswith(there):
        if more := here.count(b"\n") - there.count(b"\n"):
            print_line(
                f"storage: {journal} has {more} lines more than that in {bucket}: they count"
            )
        return there
    unfinished = directory.with_name(random_name(directory.name))
    unfinished.mkdir(parents=True)
    with ExitStack() as leaving:
        # If the bucket cannot be read completely, the incomplete copy is removed.
        leaving.callback(shutil.rmtree, unfinished, ignore_errors=True)
        for name in filter(is_of_the_directory, files):
            # A running driver may have deleted it since.
            with suppress(FileNotFoundError):
                _write_new(unfinished / name, bucket.read(name))
        if any(name == JOURNAL or PIECE.fullmatch(name) for name in files):
            _write_new(unfinished / JOURNAL, there)
        if here is not None and not there.startswith(here):
            print_line(
                f"storage: {bucket} was continued elsewhere; what only this machine had is in "
                f"{_set_aside(directory)}"
            )
        shutil.rmtree(directory, ignore_errors=True)
        unfinished.rename(directory)
    return there


def _set_aside(directory: Path) -> Path:
    return directory.rename(f"{directory}.before-{time.strftime('%Y%m%d-%H%M%S')}")


# A running driver may join the objects of its journal meanwhile.
@retry(
    retry=retry_if_exception_type(FileNotFoundError),
    stop=stop_after_attempt(JOURNAL_TRIES),
    reraise=True,
)
def _listed(bucket: S3Store) -> tuple[list[str], bytes]:
    """Return the files of a study in a bucket, and its journal."""
    files = bucket.files()
    if STUDY_FILE not in files:
        raise ValueError(f"{bucket}: no study is there (it has no {STUDY_FILE})")
    return list(files), whole_lines(download_journal(bucket, files))


def _write_new(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        file.write(content)


def is_of_the_directory(name: str) -> bool:
    """Return whether a file of a bucket is downloaded unchanged: not the journal, which is joined,
    nor checkpoints, nor a file that would be written outside the study."""
    parts = Path(name).parts
    hidden = any(part.startswith(".") for part in parts)
    checkpoint = len(parts) > 2 and parts[0] == TRIALS and parts[2].startswith(CHECKPOINT_PREFIX)
    journal = name == JOURNAL or PIECE.fullmatch(name) is not None
    return not (hidden or checkpoint or journal or name == LEASE_FILE or name.startswith("/"))


def copy_of(bucket: S3Store) -> Path:
    """Return the path of this machine's copy of a study in a bucket, whether or not it exists."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache, "tune-cluster", bucket.path)
