"""A study as read from its files, with a check of write permissions and a repair.

Whoever can write to a study's folder controls its trials and its `best/`. That may be intended, as
in the folder of a team, and is reported before a resume.

A study with a damaged journal is not changed; its repair is a copy with the intact part. The copy
is a complete study, and is resumed by its own address: a resume redraws its curves, and writes
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
    JOURNAL,
    DamagedJournalError,
    WholePart,
    read_journal,
    read_lines,
)
from tune_cluster.study.lines import CHECKSUM, sealed
from tune_cluster.study.state import StudyState
from tune_cluster.study.study_file import DATA_FILE, STUDY_FILE, read_study_file, write_study_file

FILES = (
    *(STUDY_FILE, JOURNAL, "trials.csv", "audit.json", "confirm.json", "seeds.json", DATA_FILE),
    *("report.html", "report.md", "trials.parquet", "results.parquet"),
    *("best/best.json", "best/schedule.json", "best/predictions.parquet"),
    *("trials/*/events.out.tfevents.*", "course/events.out.tfevents.*"),
)
"""Files that a resume writes or continues, if they exist."""

FOLDERS = ("best", "ensemble", "course", "trials", "trials/[0-9]*", ".tune")


def check_kinds(directory: Path) -> None:
    """Raise a ValueError for a study that has something else in place of the files and folders of a
    resume."""
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
    # `Path.glob` skips broken links.
    return [directory / pattern] if os.path.lexists(directory / pattern) else []


class StoredStudy(NamedTuple):
    """A study as read from its files."""

    about: dict[str, Any]
    """Content of `study.json`."""
    events: list[Event]
    """Events of its journal."""
    state: StudyState
    """State after these events."""


def read_study(directory: Path, flag: str = "STUDY", address: str | None = None) -> StoredStudy:
    """Read `study.json` and the journal.

    Args:
        directory: folder of the study.
        flag: flag that named it, for error messages.
        address: its address as typed; `directory` if None.

    Raises:
        ValueError: there is no study, or it is damaged.
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
    """Return which other users own, or can write to, the files to be resumed; empty if none."""
    found = dict.fromkeys(_others(study))
    if not found:
        return ""
    return (
        f"{study}: {'; '.join(found)}. They can change what is trained and what is kept as the "
        "best: continue only if you trust them (SECURITY.md)"
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
    # A user who can rename in the folder of studies can replace this one, unless only owners may,
    # as in /tmp.
    if not above.st_mode & stat.S_ISVTX and (writers := _writers(above)):
        yield f"the folder that it is in may be written to by {writers}"


def _writers(found: os.stat_result) -> str:
    """Return which users besides its owner can write to it; empty if none can."""
    if found.st_mode & stat.S_IWOTH:
        return "everybody"
    if found.st_mode & stat.S_IWGRP and not _is_private(found.st_gid, found.st_uid):
        return f"the group {_group(found.st_gid)}"
    return ""


def _is_private(group: int, owner: int) -> bool:
    """Return whether a group belongs to one user alone, as many systems create for each."""
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
    """Write a repaired copy beside the study at that address; return the copy's address.

    Raises:
        ValueError: there is no study, its journal is not damaged, the copy exists already, or it
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
        # `.` and `..` have no name for a copy beside them.
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
        # Written last, since a folder without it is not a study.
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
    """Copy the checkpoints of intact trials, and of others up to their last epoch."""
    for event in whole.events:
        if not isinstance(event, Suggested):
            continue
        trial, name = event.trial, dirname_of(event.trial)
        for checkpoint in (source / name).folders():
            # One that is not ours, or that has links, is useless in the copy too.
            with suppress(ValueError), (source / name).reading(checkpoint) as folder:
                epoch = float(checkpoint.removeprefix(CHECKPOINT_PREFIX).partition("_")[0])
                if epoch <= whole.cut.get(trial, epoch):
                    (target / name).put(folder, checkpoint)
