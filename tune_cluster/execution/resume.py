"""The study of a command: one to resume, or a new one; its directory, locked."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

from tune_cluster.execution.command_line import Command
from tune_cluster.execution.description import job_name
from tune_cluster.execution.options import Options, options_of
from tune_cluster.execution.ray_tune.settings import TUNE_FOLDER
from tune_cluster.execution.signals import ended_by_signals
from tune_cluster.plain_text import argument
from tune_cluster.storage.store import SCHEME
from tune_cluster.study.directory import StudyDirectory, begun_study
from tune_cluster.study.stored import check_kinds, read_study, repair


def taken_up(
    read: Callable[..., Command], held: ExitStack
) -> tuple[Command, StudyDirectory | None]:
    """Return the parsed command, and the locked directory of a study to resume.

    For such a study the command is parsed again by `read(stored=…)`, with the stored options as
    defaults. A command that resumes or starts a study is resolved to one of both.

    Raises:
        ValueError: a value is invalid, or the study cannot be resumed.
    """
    command = read()
    resume = command.options.resume
    if command.options.resume_or_start:
        resume = begun_study(command.options.storage_path, str(command.options.name))
    if resume is None:
        return command, None
    if command.options.repair:
        resume = repair(resume)
    directory = StudyDirectory.find(resume, held)
    stored = read_study(directory.path, "--resume", resume).about
    check_kinds(directory.path)
    kept_in = str(stored["flags"]["storage_path"])
    if directory.bucket is None and kept_in.startswith(SCHEME):
        there = argument(f"{kept_in.rstrip('/')}/{directory.path.resolve().name}")
        raise ValueError(
            f"--resume {directory.path}: a copy of a study in a bucket: --resume {there}"
        )
    command = read(stored=stored)
    found = {**vars(command.options), "resume": resume, "resume_or_start": False}
    return replace(command, options=options_of(**found)), directory


def directory_for(options: Options, held: ExitStack) -> StudyDirectory:
    """Create and lock the directory of a new study; see `StudyDirectory.create`."""
    name = options.name or f"{job_name()}-{time.strftime('%Y%m%d-%H%M%S')}"
    if options.resume_or_start:
        return StudyDirectory.start(options.storage_path, name, held)
    return StudyDirectory.create(options.storage_path, name, held, numbered=options.name is None)


@contextmanager
def nothing_left(directory: StudyDirectory) -> Iterator[Callable[[], object]]:
    """Remove a study that ends before it has begun, even by SIGTERM, so that its name is free
    again.

    `tune.Tuner(...)` creates a folder in the study's when it is built. Nothing else of an existing
    study is changed.

    Yields:
        A function that keeps the directory, to be called once the study has begun.
    """
    with ExitStack() as undo, ended_by_signals():
        made = directory.path if directory.new else directory.path / TUNE_FOLDER
        if directory.new or not made.exists():
            undo.callback(shutil.rmtree, made, ignore_errors=True)
        yield undo.pop_all
