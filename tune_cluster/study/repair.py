"""A copy of a study whose journal is damaged, with what is whole of it.

The study itself stays as it is. The copy is one like any other, and is resumed by its own address:
a resume draws its curves anew, and writes tables and `best/` at its end.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

from search_spaces.objective import Objective
from search_spaces.trial_events import Suggested
from tune_cluster.plain_text import argument
from tune_cluster.storage.addresses import SCHEME
from tune_cluster.storage.checkpoints import PREFIX, control_dirname, dirname_of
from tune_cluster.storage.inside import write_file
from tune_cluster.storage.retry import print_line
from tune_cluster.storage.s3 import S3Store
from tune_cluster.storage.store import LocalStore, Store
from tune_cluster.study.directory import TRIALS, copy_of, local_copy
from tune_cluster.study.events import Repaired
from tune_cluster.study.journal import (
    JOURNAL,
    DamagedJournalError,
    WholePart,
    read_journal,
    read_lines,
    sealed,
)
from tune_cluster.study.study_file import (
    STUDY_FILE,
    check_fields,
    read_study_file,
    write_study_file,
)

REPAIRED = "-repaired"


def repair(study: str) -> str:
    """Write the copy beside the study; its address.

    Args:
        study: a folder or `s3://bucket/folder/name`.

    Raises:
        ValueError: no study is there, its journal is not damaged, the copy is there already, or it
            cannot be written.
    """
    directory = local_copy(study)
    about = read_study_file(directory)
    check_fields(directory, about, "--resume")
    try:
        read_journal(directory / JOURNAL, Objective(about["metric"], about["mode"]))
    except DamagedJournalError as error:
        whole = error.whole
    else:
        raise ValueError(
            f"--repair: the journal of {study} is not damaged: --resume {argument(study)}"
        )
    address = study.rstrip("/") + REPAIRED
    bucket = S3Store(address) if address.startswith(SCHEME) else None
    copy = Path(address) if bucket is None else copy_of(bucket)
    try:
        copy.mkdir(parents=bucket is not None)
    except FileExistsError:
        resume = f"--resume {argument(address)}"
        raise ValueError(f"--repair: {copy} is there already: {resume}") from None
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
        trial = event.trial
        names = [dirname_of(trial)]
        if trial not in whole.cut:
            names.append(control_dirname(trial))
        for name in names:
            for checkpoint in (source / name).folders():
                # One that is no checkpoint of ours, or has links, is of no use to the copy either.
                with suppress(ValueError), (source / name).reading(checkpoint) as folder:
                    epoch = float(checkpoint.removeprefix(PREFIX).partition("_")[0])
                    if epoch <= whole.cut.get(trial, epoch):
                        (target / name).put(folder, checkpoint)
