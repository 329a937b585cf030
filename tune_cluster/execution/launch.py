"""How a job is run, from its command line to its last word: parse, check, build, fit."""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, closing

import ray
from ray import tune
from rich.console import Console

from search_spaces.mode import Mode
from search_spaces.schedulers.pbt import PBT
from tune_cluster.callbacks.console import ConsoleOutput
from tune_cluster.callbacks.hparams import Columns
from tune_cluster.callbacks.stopping import FAILED, NODES
from tune_cluster.callbacks.tensorboard import TensorBoard
from tune_cluster.cluster.capacity import Cluster
from tune_cluster.cluster.connect import connected
from tune_cluster.cluster.facts import gpu_notice, seen_gpus
from tune_cluster.cluster.head import watched
from tune_cluster.cluster.nodes import inspect
from tune_cluster.cluster.notices import Notices
from tune_cluster.execution import summary
from tune_cluster.execution.best import all_ended, keep_best
from tune_cluster.execution.flags import Command, Flags, parse
from tune_cluster.execution.given import check_built, check_metric
from tune_cluster.execution.keeping import retain
from tune_cluster.execution.population import NOT_RESUMED, write_schedule
from tune_cluster.execution.price import Price
from tune_cluster.execution.question import begin, ended_by_signals, nothing_left
from tune_cluster.execution.ray_tune.compat import (
    TRIAL_ENVIRONMENT,
    as_trial,
    controlled_by,
    let_trials_inherit_environment,
)
from tune_cluster.execution.ray_tune.study import Study
from tune_cluster.execution.replicates import write_replicates
from tune_cluster.execution.sendable import unsendable_refused
from tune_cluster.execution.signals import EXIT_CODES, heard
from tune_cluster.execution.unused_flags import refuse_unused_flags
from tune_cluster.plain_text import argument, one_line
from tune_cluster.reports.tables import write_table
from tune_cluster.storage.addresses import SCHEME
from tune_cluster.storage.inside import LinkError
from tune_cluster.storage.retry import StorageLostError
from tune_cluster.study.description import describe, job_name
from tune_cluster.study.directory import StudyDirectory
from tune_cluster.study.reading import check_kinds, read_study
from tune_cluster.study.repair import repair
from tune_cluster.study.unchanged import check_unchanged
from tune_cluster.told import accept_all_characters, complain, in_words

TUNE_SETTINGS = {
    # The journal and the curves are ours; Tune's CSV and JSON files would cost 13 ms a trial.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    # Tune's own snapshots are never read: once, at the end, and not every 10 s.
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000",
    # A missing metric ends its trial, in its runner, and not the study.
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    # Who may wait for a process is up to the searcher: this number stays what it is when a study
    # begins, and with 1 the processes of nodes that join would start one after the other.
    "TUNE_MAX_PENDING_TRIALS_PG": "1000000",
    # Ctrl-C is ours: the journal is to be complete.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    # One line for a failed trial is in the terminal, its traceback in the journal.
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    # Nor Tune's own tables: ours say what happens.
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}


def launch(
    job: Callable[..., tune.Tuner], *, metric: str, mode: Mode, argv: Sequence[str] | None = None
) -> None:
    """Runs `job(study, **options)` and ends the process.

    Exit codes: 0 all trials have ended, or their time has; 1 the first trials all failed alike, or
    none has reported a value, or no node is left that trials could run on, or the storage has not
    come back; 2 bad input, before anything was scheduled; 75 the cluster's head is gone, or the Ray
    that the job had started; 130 a person has interrupted it, or has not wanted it at its price,
    and then nothing of it is left, or another driver has taken it over; 143 terminated.

    Args:
        job: builds the Tuner from a `Study` and its own keyword parameters, which become flags.
        metric: what is searched for, as the trainable reports it.
        mode: "max" or "min".
        argv: the command line; that of the process if None.
    """
    argv = sys.argv[1:] if argv is None else argv
    accept_all_characters()
    console = Console()
    os.environ.update({**TUNE_SETTINGS, **TRIAL_ENVIRONMENT})
    # Signals are heard until Ray has been left: a second Ctrl-C may come at any time.
    with ExitStack() as hearing, ExitStack() as held:
        try:
            check_metric(metric, mode)
            command, home = parse_and_check(job, argv, held)
            # Ray stores what a script has given before it was connected as soon as it is.
            with nothing_left(home), unsendable_refused():
                check_unchanged(home.path, metric=metric, mode=mode)
                found = held.enter_context(cluster_for(command.flags))
                study = study_on(found, home, command.flags, console, metric=metric, mode=mode)
                # Again: Ray has made SIGTERM its own as it began.
                with ended_by_signals():
                    tuner = job(study, **command.options)
                    check_built(tuner, study.parts)
                    refuse_unused_flags(command, study)
                    description = describe(study, command, argv)
                    price = begin(console, study, how_to_go_on(study, description["command"]))
                    told = {} if price is None else {"price": price.describe()}
                    study.open({**description, **told}, argv)
        except (OSError, ValueError) as error:
            complain(in_words(error))
            sys.exit(2)
        except KeyboardInterrupt:
            sys.exit(130)
        hearing.enter_context(heard(study.stopper))
        then = next_step(study, description["command"])
        address = ray.get_runtime_context().gcs_address
        held.enter_context(watched(address, lambda told: complain(f"{told}, and {then}")))
        # From here on a ValueError is our own bug, and has its traceback.
        try:
            code = run(console, study, tuner, description["command"], price)
        except StorageLostError as error:
            complain(f"storage: {error}; what was reported is kept: {then}")
            code = EXIT_CODES.get(study.stopper.why, 1)
        except LinkError as error:
            # Put there while the study ran: another user is at work in its folder.
            complain(f"{error}; what was reported is kept: {then}")
            code = 1
    sys.exit(code)


def parse_and_check(
    job: Callable[..., object], argv: Sequence[str], held: ExitStack
) -> tuple[Command, StudyDirectory]:
    """The command line, and where the study lives, which can be written.

    Args:
        held: lasts as long as the study is run.

    Raises:
        ValueError: a bad value, or a place that cannot be the study's.
    """
    command = parse(job, argv)
    if command.flags.resume is not None:
        resume = command.flags.resume
        if command.flags.repair:
            resume = repair(resume)
        home = StudyDirectory.find(resume, held)
        stored = read_study(home.path, "--resume", resume).about
        check_kinds(home.path)
        kept_in = str(stored["flags"]["storage_path"])
        if home.bucket is None and kept_in.startswith(SCHEME):
            there = argument(f"{kept_in.rstrip('/')}/{home.path.name}")
            raise ValueError(
                f"--resume {home.path}: a copy of a study in a bucket: --resume {there}"
            )
        return parse(job, argv, stored=stored), home
    name = command.flags.name or f"{job_name()}-{time.strftime('%Y%m%d-%H%M%S')}"
    numbered = command.flags.name is None
    return command, StudyDirectory.create(command.flags.storage_path, name, held, numbered=numbered)


def cluster_for(flags: Flags) -> AbstractContextManager[Cluster]:
    """Connects to the cluster that the flags say, or starts one for their trials."""
    return connected(
        flags.address,
        cpus_per_trial=flags.cpus_per_trial,
        gpus_per_trial=flags.gpus_per_trial,
        max_concurrent=flags.max_concurrent,
    )


def study_on(
    found: Cluster,
    home: StudyDirectory,
    flags: Flags,
    console: Console,
    *,
    metric: str,
    mode: Mode,
) -> Study:
    """The study, as wide as the cluster's nodes let it be.

    Raises:
        ValueError: no trial fits on a node, no node will do, or another driver has the study.
    """
    size = (flags.cpus_per_trial, flags.gpus_per_trial)
    slots = found.slots(*size)
    inspection, notice = None, ""
    if found.own:
        let_trials_inherit_environment()
        if flags.gpus_per_trial:
            notice = gpu_notice({socket.gethostname(): seen_gpus()})
    else:
        storage = str(home.bucket or home.path.parent)
        inspection = inspect(storage, gpus=flags.gpus_per_trial > 0, remote=as_trial)
        inspection.check(*size)
        notice = inspection.gpu_notice(*size)
        for note in inspection.notes():
            console.print(
                f"note      {one_line(note)}", soft_wrap=True, highlight=False, markup=False
            )
    study = Study(
        home.path,
        flags,
        max_concurrent=min(flags.max_concurrent or slots, slots),
        metric=metric,
        mode=mode,
        bucket=home.bucket,
        cluster=found,
        inspection=inspection,
        lock=home.journal,
    )
    if home.lease is not None:
        home.lease.on_lost(study.stopper.interrupt)
    study.parts.gpu_notice = notice
    return study


def run(
    console: Console,
    study: Study,
    tuner: tune.Tuner,
    command: Sequence[str],
    price: Price | None,
) -> int:
    """From the first trial to the last word; the exit code.

    Args:
        console: where to.
        study: open.
        tuner: as the job has built it.
        command: that started the study, with interpreter and script as they are typed here.
        price: what was expected; None where nothing is left to be run.
    """
    began = time.monotonic()
    study.stopper.begin()
    scheduler = study.parts.scheduler
    pbt = scheduler if isinstance(scheduler, PBT) else None
    retain(study)
    columns = Columns(
        study.space,
        study.metric,
        promotes=study.parts.promotes(),
        perturbed=() if pbt is None else pbt.perturbed,
    )
    notice = "\n\n".join(study.parts.notices)
    study.listen(TensorBoard(study.trials_dir, columns, notice, study.retry))
    if price is not None:
        study.listen(
            ConsoleOutput(
                console,
                study.state,
                total=study.total,
                not_searched=study.not_searched,
                seconds=price.seconds,
            )
        )
        with controlled_by(study.tune_scheduler), closing(Notices(str(study.checkpoints))):
            tuner.fit()
    took = time.monotonic() - began
    study.close(study.stopper.why or "all trials")
    write_table(study.directory / "trials.csv", study.state, study.retry)
    best = keep_best(study)
    schedules = {}
    if pbt is not None and best is not None:
        schedules = write_schedule(
            study.directory / "best",
            study.trials,
            best,
            metric=study.metric,
            perturbed=pbt.perturbed,
            retry=study.retry,
        )
    more = [
        *([] if price is None else [("time", summary.time_taken(price.seconds, took))]),
        *summary.write_audit(study),
        *summary.schedule_lines(study, schedules),
        *write_replicates(study),
    ]
    summary.show_summary(console, study, best, command, more)
    if study.stopper.why == FAILED:
        complain(one_line(f"the first trials all failed alike: {study.stopper.reason}"))
        return 1
    if study.stopper.why == NODES:
        complain(f"{study.stopper.reason}; put that right, and {next_step(study, command)}")
        return 1
    if best is None and all_ended(study):
        complain(f"no trial has reported {study.metric}; journal.jsonl has the reason of each")
        return 1
    return EXIT_CODES.get(study.stopper.why, 0)


def how_to_go_on(study: Study, command: Sequence[str]) -> str:
    """What to type to go on with the study, or why it cannot be gone on with."""
    if isinstance(study.parts.scheduler, PBT):
        return NOT_RESUMED
    return summary.resume_command(command, study)


def next_step(study: Study, command: Sequence[str]) -> str:
    """What a person does once it is over what has ended the study: the end of a sentence."""
    how = how_to_go_on(study, command)
    return f"begin a new study: {how}" if how == NOT_RESUMED else f"go on with: {how}"
