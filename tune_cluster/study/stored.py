"""A study as its files have it: read, held against who may write there, repaired.

Whoever can write to a study's folder decides what its trials are and what `best/` holds. That may
be meant, as in a folder of a team, and is said before a resume.

A study whose journal is damaged stays as it is; its repair is a copy with what is whole. The copy
is one like any other, and is resumed by its own address: a resume draws its curves anew, and writes
tables and `best/` at its end.
"""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from search_spaces.objective import Objective
from search_spaces.trial_events import Event, Result, Suggested
from tune_cluster.plain_text import argument
from tune_cluster.storage.checkpoints import CHECKPOINT_PREFIX, dirname_of
from tune_cluster.storage.inside import FILE_KINDS, write_file
from tune_cluster.storage.retry import print_line
from tune_cluster.storage.s3 import S3Store, refusing
from tune_cluster.storage.store import SCHEME, LocalStore, Store
from tune_cluster.study.directory import TRIALS, copy_of, local_copy
from tune_cluster.study.events import Repaired
from tune_cluster.study.journal import (
    CHECKSUM,
    JOURNAL,
    DamagedJournalError,
    WholePart,
    read_journal,
    read_lines,
    sealed,
)
from tune_cluster.study.state import StudyState
from tune_cluster.study.study_file import STUDY_FILE, read_study_file, write_study_file

FILES = (
    *(STUDY_FILE, JOURNAL, "trials.csv", "audit.json", "seeds.json"),
    *("best/best.json", "best/schedule.json", "trials/*/events.out.tfevents.*"),
)
"""What a resume writes or goes on with, where it is there."""

FOLDERS = ("best", "trials", "trials/[0-9]*", ".tune")


def check_kinds(directory: Path) -> None:
    """Refuse, by a ValueError, a study in which something else lies where a resume has its files
    and folders."""
    for patterns, is_expected, expected in (
        (FOLDERS, stat.S_ISDIR, "a folder"),
        (FILES, stat.S_ISREG, "a file"),
    ):
        for path in (path for pattern in patterns for path in _matching(directory, pattern)):
            mode = path.lstat().st_mode
            if not is_expected(mode):
                kind = FILE_KINDS.get(stat.S_IFMT(mode), "a file")
                raise ValueError(
                    f"--resume {directory}: {path} is {kind}, where {expected} is expected; move "
                    "it away"
                )


def _matching(directory: Path, pattern: str) -> list[Path]:
    if set(pattern) & set("*["):
        return list(directory.glob(pattern))
    # `Path.glob` passes over links that lead nowhere.
    return [directory / pattern] if os.path.lexists(directory / pattern) else []


class StoredStudy(NamedTuple):
    """A study as its files have it."""

    about: dict[str, Any]
    """The content of `study.json`."""
    events: list[Event]
    """Of its journal."""
    state: StudyState
    """What they say."""


def read_study(directory: Path, flag: str = "STUDY", address: str | None = None) -> StoredStudy:
    """Read `study.json` and the journal; a ValueError if no study is there, or it is damaged.

    Args:
        flag: that named it, for the error.
        address: of it as it is typed; `directory` if None.
    """
    about = read_study_file(directory, flag)
    journal = directory / JOURNAL
    objective = Objective(about["metric"], about["mode"])
    events, state = read_journal(journal, objective, study=address or str(directory))
    if "crc" not in about and any(CHECKSUM in line for line in read_lines(journal)[-1:]):
        raise ValueError(f"{flag} {directory}: {STUDY_FILE}: crc is missing")
    for number, event in enumerate(events, start=1):
        if isinstance(event, Result) and event.metrics.get(objective.metric) is None:
            raise ValueError(
                f"{journal}: line {number}: result.metrics.{objective.metric} is missing"
            )
    return StoredStudy(about, events, state)


def strangers(study: Path) -> str:
    """Who else has made, or may change, what is gone on with; empty where nobody does."""
    found = dict.fromkeys(_others(study))
    if not found:
        return ""
    return (
        f"{study}: {'; '.join(found)}. Whoever writes there decides what is trained and what is "
        "kept as the best: go on only if you trust them (SECURITY.md)"
    )


def _others(study: Path) -> Iterator[str]:
    own = os.geteuid()
    for path in (study, study / STUDY_FILE, study / JOURNAL, study / TRIALS):
        with suppress(FileNotFoundError):
            found = path.stat()
            what = "it" if path == study else path.name
            if found.st_uid != own:
                yield f"{what} belongs to {_user(found.st_uid)}"
            if writers := _writers(found):
                yield f"{what} may be written to by {writers}"
    above = study.resolve().parent.stat()
    # Who may rename in the folder of studies may put another one in its place, unless only owners
    # may, as in /tmp.
    if not above.st_mode & stat.S_ISVTX and (writers := _writers(above)):
        yield f"the folder that it is in may be written to by {writers}"


def _writers(found: os.stat_result) -> str:
    """Who but its owner may write to it; empty where nobody may."""
    if found.st_mode & stat.S_IWOTH:
        return "everybody"
    if found.st_mode & stat.S_IWGRP and not _is_private(found.st_gid, found.st_uid):
        return f"the group {_group(found.st_gid)}"
    return ""


def _is_private(group: int, owner: int) -> bool:
    """Whether a group is that of one user alone, as many systems make one for each."""
    try:
        known, user = grp.getgrgid(group), pwd.getpwuid(owner)
    except KeyError:
        return False
    return (
        user.pw_gid == group
        and known.gr_name == user.pw_name
        and set(known.gr_mem) <= {user.pw_name}
    )


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


REPAIRED = "-repaired"


def repair(study: str) -> str:
    """Write the copy beside the study at that address; the copy's address.

    Raises:
        ValueError: no study is there, its journal is not damaged, the copy is there already, or it
            cannot be written.
    """
    directory = local_copy(study)
    about = read_study_file(directory)
    try:
        read_journal(directory / JOURNAL, Objective(about["metric"], about["mode"]))
    except DamagedJournalError as error:
        whole = error.whole
    else:
        raise ValueError(
            f"--repair: the journal of {study} is not damaged: --resume {argument(study)}"
        )
    if study.startswith(SCHEME):
        address = study.rstrip("/") + REPAIRED
        bucket = S3Store(address)
        copy = copy_of(bucket)
    else:
        # `.` and `..` have no name beside which a copy could lie.
        named = directory if directory.name not in ("", "..") else directory.resolve()
        copy, bucket = named.with_name(named.name + REPAIRED), None
        address = str(copy)
    there = ValueError(f"--repair: {address} is there already: --resume {argument(address)}")
    if bucket is not None:
        with refusing("--repair", bucket):
            if STUDY_FILE in bucket.files():
                raise there
    try:
        copy.mkdir(parents=bucket is not None)
    except FileExistsError:
        raise there from None
    except OSError as error:
        raise ValueError(f"--repair: {copy} cannot be written ({error.strerror})") from None
    source: Store = LocalStore(directory) if bucket is None else S3Store(study)
    left_out = len(read_lines(directory / JOURNAL)) - len(whole.events)
    events = [*whole.events, Repaired(of=study, left_out=left_out)]
    lines = [sealed(event, number) for number, event in enumerate(events, start=1)]
    try:
        (copy / TRIALS).mkdir()
        _copy_checkpoints(source / TRIALS, (bucket or LocalStore(copy)) / TRIALS, whole)
        write_file(copy, copy / JOURNAL, b"".join(lines))
        # Last: without it nothing is taken for a study.
        write_study_file(copy, about)
        if bucket is not None:
            for name in (JOURNAL, STUDY_FILE):
                bucket.write(name, (copy / name).read_bytes())
    except OSError as error:
        shutil.rmtree(copy, ignore_errors=True)
        raise ValueError(f"--repair: {address} cannot be written ({error.strerror})") from None
    print_line(f"repair    {address} has {whole}; {left_out} lines of {study} are left out")
    return address


def _copy_checkpoints(source: Store, target: Store, whole: WholePart) -> None:
    """Copies those of trials that are whole, and of the others those that their epochs go to."""
    for event in whole.events:
        if not isinstance(event, Suggested):
            continue
        trial, name = event.trial, dirname_of(event.trial)
        for checkpoint in (source / name).folders():
            # One that is no checkpoint of ours, or has links, is of no use to the copy either.
            with suppress(ValueError), (source / name).reading(checkpoint) as folder:
                epoch = float(checkpoint.removeprefix(CHECKPOINT_PREFIX).partition("_")[0])
                if epoch <= whole.cut.get(trial, epoch):
                    (target / name).put(folder, checkpoint)
