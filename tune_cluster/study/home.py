"""Where a study lives: in a folder; or in a bucket, and a copy on the head's disk while it runs."""

from __future__ import annotations

import itertools
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tune_cluster.plain_text import argument
from tune_cluster.storage.addresses import SCHEME, check_address, expanded
from tune_cluster.storage.checkpoints import PREFIX
from tune_cluster.storage.inside import random_name, read_regular
from tune_cluster.storage.lease import DRIVER_FILE, AtWork
from tune_cluster.storage.retry import print_line
from tune_cluster.storage.store import LocalStore, S3Store, Store, refusing
from tune_cluster.study.journal import JOURNAL
from tune_cluster.study.lock import StudyLock
from tune_cluster.study.mirror import mirrored
from tune_cluster.study.study_file import STUDY_FILE

TRIALS = "trials"


@dataclass(frozen=True)
class Home:
    """Where a study lives."""

    directory: Path
    """On this machine."""
    bucket: S3Store | None = None
    """That the directory is copied to, and that has the checkpoints."""
    at_work: AtWork | None = None
    """What says that it is this driver's, where it lies in a bucket."""
    lock: StudyLock | None = None
    """Of the directory; None where it is only read."""
    new: bool = False
    """Whether the directory was made for a study that has not begun."""

    @property
    def checkpoints(self) -> Store:
        """Where the trials' checkpoints lie, each trial's in a place of its own."""
        return (self.bucket or LocalStore(self.directory.absolute())) / TRIALS


def new_home(storage_path: str, name: str, held: ExitStack, *, numbered: bool = False) -> Home:
    """Makes the directory of a new study, which no other process has made, and locks it.

    Args:
        storage_path: a folder or `s3://bucket/folder`.
        name: of the study.
        held: lasts as long as the study is run.
        numbered: whether a name that is taken gets a number, as `name-2`.

    Raises:
        ValueError: there is such a study, or nothing can be written.
    """
    if storage_path.startswith(SCHEME):
        return _new_home_in_bucket(storage_path, name, held, numbered)
    directory = new_folder(Path(storage_path), name, numbered=numbered)
    return Home(directory, lock=_locked_new(directory, held), new=True)


def _new_home_in_bucket(storage_path: str, name: str, held: ExitStack, numbered: bool) -> Home:
    for candidate in _candidates(name, numbered):
        bucket = S3Store(storage_path) / candidate
        with refusing("--storage-path", bucket):
            bucket.probe()
            free = not bucket.files()
        if free or not numbered:
            break
    if not free:
        raise ValueError(
            f"--name {name}: {bucket} exists; give another name, or --resume "
            f"{argument(str(bucket))}"
        )
    copy = copy_of(bucket)
    if copy.exists():
        raise ValueError(
            f"--name {name}: {copy} is a copy of another study of that name, which is not in "
            f"the bucket; give another name, or remove it"
        )
    with refusing("--storage-path", bucket):
        at_work = held.enter_context(AtWork(bucket))
    directory = new_folder(copy.parent, copy.name)
    # Not before: what takes the directory away again is to come before the last copy.
    held.enter_context(mirrored(directory, bucket, at_work))
    return Home(directory, bucket, at_work, _locked_new(directory, held), new=True)


def new_folder(folder: Path, name: str, *, numbered: bool = False) -> Path:
    """Makes the folder of that name: of two processes one makes it.

    Args:
        folder: that it is made in; made too where it is missing.
        name: of the new one.
        numbered: whether a name that is taken gets a number, as `name-2`.

    Raises:
        ValueError: it is there, or cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"--storage-path {folder}: cannot be written ({error.strerror})") from None
    for candidate in _candidates(name, numbered):
        directory = folder / candidate
        try:
            directory.mkdir()
        except FileExistsError:
            if numbered:
                continue
            raise ValueError(_taken(name, directory)) from None
        except OSError as error:
            raise ValueError(
                f"--storage-path {folder}: cannot be written ({error.strerror})"
            ) from None
        return directory
    raise AssertionError("there is always a next number")


def _candidates(name: str, numbered: bool) -> Iterator[str]:
    yield name
    if numbered:
        yield from (f"{name}-{number}" for number in itertools.count(2))


def _taken(name: str, directory: Path) -> str:
    """Why a name cannot be given again, and what to do."""
    if (directory / STUDY_FILE).exists():
        return (
            f"--name {name}: {directory} exists; give another name, or --resume "
            f"{argument(str(directory))}"
        )
    return (
        f"--name {name}: {directory} exists, and has no study that could be resumed: another job "
        "is about to begin it, or was killed before it had; give another name, or remove it"
    )


def _locked_new(directory: Path, held: ExitStack) -> StudyLock:
    try:
        lock = StudyLock(directory / JOURNAL, create=True)
    except OSError as error:
        shutil.rmtree(directory, ignore_errors=True)
        raise ValueError(
            f"--storage-path {directory.parent}: cannot be written ({error.strerror})"
        ) from None
    held.callback(lock.release)
    return lock


def home_of(study: str, held: ExitStack) -> Home:
    """Where the study is that is to be resumed, locked; from a bucket, what is not there is brought
    here.

    Args:
        study: a folder or `s3://bucket/folder/name`.
        held: lasts as long as the study is run.

    Raises:
        ValueError: no study is there, another driver is at work on it, or it cannot be written.
    """
    if not study.startswith(SCHEME):
        directory = Path(study)
        return Home(directory, lock=_locked(directory, held))
    bucket = S3Store(study)
    directory = copy_of(bucket)
    with refusing("--resume", bucket):
        bucket.probe()
        at_work = held.enter_context(AtWork(bucket))
        bring(bucket, directory)
    # Not before: it would copy what is old.
    held.enter_context(mirrored(directory, bucket, at_work))
    return Home(directory, bucket, at_work, _locked(directory, held))


def _locked(directory: Path, held: ExitStack) -> StudyLock:
    if not (directory / STUDY_FILE).exists():
        raise ValueError(f"--resume {directory}: no study is there (it has no {STUDY_FILE})")
    try:
        lock = StudyLock(directory / JOURNAL, create=False)
    except FileNotFoundError:
        raise ValueError(
            f"--resume {directory}: {JOURNAL} is missing, and with it all that its trials were; "
            "start a new study"
        ) from None
    except OSError as error:
        raise ValueError(
            f"--resume {directory}: {JOURNAL} cannot be written ({error.strerror})"
        ) from None
    held.callback(lock.release)
    return lock


def to_read(study: str) -> Path:
    """The folder of a study that is to be looked at; of one in a bucket, a copy brought here.

    Args:
        study: a folder or `s3://bucket/folder/name`.

    Raises:
        ValueError: no study is there, or the bucket cannot be read.
    """
    study = expanded("STUDY", study)
    check_address("STUDY", study)
    if not study.startswith(SCHEME):
        return Path(study)
    bucket = S3Store(study)
    directory = copy_of(bucket)
    with refusing("STUDY", bucket):
        bring(bucket, directory)
    return directory


def bring(bucket: S3Store, directory: Path) -> None:
    """Makes `directory` the study in the bucket, all but its checkpoints.

    The journal decides. If this machine's only goes on where that of the bucket ends, its driver
    was killed before the last copy, and what is here stays; else what is in the bucket is true, and
    what is here and never came to be there is set aside.

    Raises:
        ValueError: no study is there.
        OSError: the bucket cannot be read.
    """
    files = bucket.files()
    if STUDY_FILE not in files:
        raise ValueError(f"{bucket}: no study is there (it has no {STUDY_FILE})")
    there = whole_lines(bucket.read(JOURNAL)) if JOURNAL in files else b""
    journal = directory / JOURNAL
    here = whole_lines(read_regular(journal)) if os.path.lexists(journal) else None
    if here is not None and here.startswith(there):
        if more := here.count(b"\n") - there.count(b"\n"):
            print_line(
                f"storage: {journal} goes on after that in {bucket} for {more} lines: they count"
            )
        return
    unfinished = directory.with_name(random_name(directory.name))
    unfinished.mkdir(parents=True)
    for name in files:
        if is_of_the_directory(name):
            target = unfinished / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as file:
                file.write(bucket.read(name))
    if here is not None and not there.startswith(here):
        aside = directory.with_name(f"{directory.name}.before-{time.strftime('%Y%m%d-%H%M%S')}")
        directory.rename(aside)
        print_line(f"storage: {bucket} went on elsewhere; what only this machine had is in {aside}")
    shutil.rmtree(directory, ignore_errors=True)
    unfinished.rename(directory)


def whole_lines(content: bytes) -> bytes:
    """A file up to its last end of a line."""
    return content[: content.rfind(b"\n") + 1]


def is_of_the_directory(name: str) -> bool:
    """Whether a file of a bucket belongs on the head's disk: a checkpoint does not, nor does what
    would come to lie beside the study."""
    parts = Path(name).parts
    hidden = any(part.startswith(".") for part in parts)
    checkpoint = len(parts) > 2 and parts[0] == TRIALS and parts[2].startswith(PREFIX)
    return not (hidden or checkpoint or name == DRIVER_FILE or name.startswith("/"))


def copy_of(bucket: S3Store) -> Path:
    """Where this machine has the copy of a study in a bucket, if it has one."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache, "tune-cluster", bucket.path)
