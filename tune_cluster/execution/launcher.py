"""Running a study from its options to its last line: read, check, build, run.

`main` is the command line of a job, `run` the same in Python, and `Tuner.fit` ends here too.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NoReturn

import ray
from ray import tune
from rich.console import Console

from tune_cluster.callbacks.base import Callback
from tune_cluster.callbacks.console import ConsoleOutput
from tune_cluster.callbacks.course import CourseCurves
from tune_cluster.callbacks.hparams import Columns
from tune_cluster.callbacks.retention import Retention
from tune_cluster.callbacks.tensorboard import TensorBoard
from tune_cluster.callbacks.verbose import VerboseOutput
from tune_cluster.cluster.capacity import Cluster
from tune_cluster.cluster.connect import connected
from tune_cluster.cluster.facts import gpu_notice, seen_gpus
from tune_cluster.cluster.head import Notices, watched
from tune_cluster.cluster.nodes import inspect
from tune_cluster.errors import accept_all_characters, end_with, exit_on_error, print_error
from tune_cluster.execution import audit, baselines, confirm, summary
from tune_cluster.execution.best import keep_best, write_replicates
from tune_cluster.execution.command_line import Command, arguments_of, parse
from tune_cluster.execution.cost_estimate import CostEstimate
from tune_cluster.execution.data_look import look_at_data, write_page
from tune_cluster.execution.description import describe
from tune_cluster.execution.evaluate import evaluate
from tune_cluster.execution.final_report import write_final_report
from tune_cluster.execution.options import Options
from tune_cluster.execution.plan import confirm_start, show_line
from tune_cluster.execution.ray_tune.compat import (
    TRIAL_ENVIRONMENT,
    as_trial,
    controlled_by,
    let_trials_inherit_environment,
)
from tune_cluster.execution.ray_tune.ray_callbacks import adapted
from tune_cluster.execution.ray_tune.settings import TUNE_SETTINGS
from tune_cluster.execution.ray_tune.study import Study
from tune_cluster.execution.result import StudyResult
from tune_cluster.execution.resume import directory_for, nothing_left, taken_up
from tune_cluster.execution.sending import unsendable_refused
from tune_cluster.execution.signals import (
    EXIT_CODES,
    coded_as_terminated,
    ended_by_signals,
    interrupted,
    signals_handled,
)
from tune_cluster.execution.tuner import Tuner
from tune_cluster.execution.validation import kind_of, refuse_unused
from tune_cluster.python_script import words_of_resume
from tune_cluster.reports.tables import write_table
from tune_cluster.storage.inside import LinkError
from tune_cluster.storage.retry import StorageLostError
from tune_cluster.study.directory import StudyDirectory
from tune_cluster.study.journal import Listener
from tune_cluster.study.study_file import check_unchanged

_RUNNING = threading.Lock()
"""Lock that is held while a study runs in this process."""


def main(job: Callable[..., Tuner], argv: Sequence[str] | None = None) -> NoReturn:
    """Run `job(options, **parameters)` from the command line, and end the process.

    Exit codes: 0 all trials have ended, or a limit was reached; 1 the first trials all failed
    alike, no trial has reported a value, no node is left for trials, or the storage was lost; 2 bad
    input, before anything was scheduled; 75 the cluster's head, or the Ray that the job had
    started, was lost; 130 the user has interrupted it, or has declined it, which leaves no files,
    or another driver has taken it over; 143 terminated.

    Args:
        job: builds the Tuner from the options and its own keyword parameters, which become flags,
            as do the fields of a dataclass among them.
        argv: command line; that of the process if None.
    """
    argv = sys.argv[1:] if argv is None else argv
    accept_all_characters()
    # Signals are handled until Ray is shut down: a second Ctrl-C may come at any time.
    with ExitStack() as handling, ExitStack() as held:
        try:
            command, directory = taken_up(partial(parse, job, argv), held)
            tuner = built_by(job, command)
            if directory is not None and command.options.ensemble is not None:
                evaluate(Console(), tuner, command.options, directory)
                sys.exit(0)
            begun = prepare(command, tuner, directory, held, console=Console(), argv=argv)
        except (OSError, ValueError) as error:
            end_with(error)
        except KeyboardInterrupt:
            sys.exit(130)
        if begun is None:
            sys.exit(130)
        handling.enter_context(signals_handled(begun.study.stopper))
        then = begun.next_step
        address = ray.get_runtime_context().gcs_address
        held.enter_context(watched(address, lambda reason: print_error(f"{reason}, and {then}")))
        # From here on a ValueError is our own bug, and has its traceback.
        try:
            code = summary.exit_code(begun.run(), then)
        except StorageLostError as error:
            print_error(f"storage: {error}; what was reported is kept: {then}")
            code = EXIT_CODES.get(begun.study.stopper.why, 1)
        except LinkError as error:
            # Added while the study ran: another user writes to its folder.
            print_error(f"{error}; what was reported is kept: {then}")
            code = 1
    sys.exit(code)


def run(job: Callable[..., Tuner], **arguments: Any) -> StudyResult:
    """Run `job(options, **parameters)` from Python: a notebook, a pipeline, a thread.

    It never ends the process and asks nothing; the first Ctrl-C ends the study in order, the
    second raises `KeyboardInterrupt`.

    Args:
        job: builds the Tuner from the options and its own keyword parameters.
        arguments: fields of `Options`, such as `trials=64, storage_path="results"`, and the job's
            own parameters.

    Raises:
        ValueError: bad input, before anything was scheduled.
        StorageLostError: the storage failed permanently.
    """
    return run_in_process(job, arguments)


def run_in_process(
    job: Callable[..., Tuner], arguments: Mapping[str, Any], *, brief: bool = False
) -> StudyResult:
    """Run a job as `run` does; with `brief`, print no line for what goes as it should.

    In a script that a command runs to resume a study, its flags take the place of the arguments,
    and an error is one line.
    """
    words = words_of_resume()
    with ExitStack() as held:
        read = partial(arguments_of, job, arguments)
        if words is not None:
            held.enter_context(exit_on_error())
            read = partial(parse, job, words)
        command, directory = taken_up(read, held)
        if command.options.ensemble is not None:
            raise ValueError(
                "ensemble: `tune-cluster evaluate STUDY` compares ensembles, for a script that "
                "runs its study by main(job)"
            )
        tuner = built_by(job, command)
        # Plain lines: a live status needs a terminal that this process has for itself.
        console = Console(force_terminal=False, force_jupyter=False)
        begun = prepare(command, tuner, directory, held, console=console, argv=None)
        assert begun is not None, "nobody was asked"
        begun = replace(begun, brief=brief)
        with interrupted(begun.study.stopper):
            return begun.run()


def built_by(job: Callable[..., object], command: Command) -> Tuner:
    """Return the Tuner that the job builds; raise a ValueError if it refuses a value or builds
    none."""
    with unsendable_refused():
        tuner = job(command.options, **command.own)
    if not isinstance(tuner, Tuner):
        raise ValueError(
            f"the job must return a tune_cluster.Tuner, got {kind_of(tuner)}: "
            "Tuner(trainable, tune_config=TuneConfig(metric=..., mode=..., search_alg=...))"
        )
    return tuner


@dataclass(frozen=True)
class Begun:
    """A study that is open, and about to run."""

    study: Study
    tuner: tune.Tuner
    """Tuner that Tune runs."""
    command: Sequence[str]
    """Command that started the study, with interpreter and script as typed here; empty if it was
    started from Python."""
    estimate: CostEstimate | None
    """Cost estimate; None if nothing is left to be run."""
    console: Console
    callbacks: Sequence[Callback] = ()
    """Callbacks of the user."""
    brief: bool = False
    """Whether the console leaves out the lines that need no attention."""

    @property
    def next_step(self) -> str:
        """Return what the user does once the cause of the end is removed: the end of a sentence."""
        start = "begin a new study" if self.study.not_resumable else "resume it"
        return f"{start}: {summary.resume_command(self.command, self.study)}"

    def run(self) -> StudyResult:
        """Run the study from the first trial to the last line.

        Raises:
            StorageLostError: the storage failed permanently.
        """
        study, estimate = self.study, self.estimate
        began = time.monotonic()
        study.begin([*self._listeners()])
        try:
            if estimate is not None:
                with controlled_by(study.tune_scheduler), closing(Notices(str(study.checkpoints))):
                    self.tuner.fit()
        except BaseException:
            # The files of all listeners are complete, however it has ended.
            with suppress(Exception):
                study.close(study.stopper.why or "error")
            raise
        took = time.monotonic() - began
        study.close(study.ending)
        write_table(study.directory / "trials.csv", study.state, study.retry)
        best = keep_best(study)
        left = None if best is None else study.scheduler.finish(study.trials, best, study.metric)
        more = [
            *([] if estimate is None else [("time", summary.time_taken(estimate.seconds, took))]),
            *baselines.summary_lines(study, best),
            *summary.write_closing(study, left),
            *write_replicates(study),
        ]
        summary.show_summary(self.console, study, best, more)
        write_final_report(self.console, study)
        summary.show_next(self.console, study, self.command)
        result = StudyResult(
            directory=study.directory,
            trials=[*study.trials.values()],
            checkpoints=study.checkpoints,
            metric=study.metric,
            mode=study.mode,
            best=best,
            ended_by=study.stopper.why,
            reason=study.stopper.reason,
            complete=study.complete,
        )
        for callback in self.callbacks:
            callback.on_end(result)
        return result

    def _listeners(self) -> Iterator[Listener]:
        study, scheduler = self.study, self.study.scheduler
        yield Retention(
            study.state,
            study.checkpoints,
            # Where nothing is searched, the result is the best of each trial.
            keep_best=study.options.keep_best if study.space.parameters else None,
            scheduler=scheduler,
            total=study.total,
            in_bucket=study.bucket is not None,
            quota=study.quota,
            retry=study.retry,
            emit=study.emit,
        )
        columns = Columns(
            study.space, study.metric, promotes=scheduler.promotes, perturbed=scheduler.perturbed
        )
        yield TensorBoard(study.trials_dir, columns, "\n\n".join(study.notices), study.retry)
        yield CourseCurves(study.directory, study.objective, study.retry)
        if self.estimate is not None:
            yield ConsoleOutput(
                self.console,
                study.state,
                total=study.total,
                concurrent=study.max_concurrent,
                not_searched=study.not_searched,
                seconds=self.estimate.seconds,
                brief=self.brief,
            )
        if study.options.verbose:
            yield VerboseOutput(self.console)
        yield from self.callbacks


def prepare(
    command: Command,
    tuner: Tuner,
    directory: StudyDirectory | None,
    held: ExitStack,
    *,
    console: Console,
    argv: Sequence[str] | None,
) -> Begun | None:
    """Open the study on a cluster; return None, and leave no files, if the user declines it.

    Args:
        command: parsed command line.
        tuner: Tuner of the study.
        directory: directory of a resumed study; None creates a new one.
        held: context that lasts as long as the study runs.
        console: console for the output.
        argv: command line; None if there is none, and no user to ask.

    Raises:
        ValueError: the study cannot be run; nothing was scheduled.
    """
    # Ray and Tune have global state in a process.
    if not _RUNNING.acquire(blocking=False):
        raise ValueError("another study runs in this process; wait for its end")
    held.callback(_RUNNING.release)
    os.environ.update({**TUNE_SETTINGS, **TRIAL_ENVIRONMENT})
    options = tuner.settled(command.options)
    directory = directory or directory_for(options, held)
    for second in (audit, confirm):
        tuner, options = second.continued(tuner, options, directory)
    command = replace(command, options=options)
    # Ray stores objects that a script has passed before the connection once it is connected.
    with nothing_left(directory) as keep, unsendable_refused():
        check_unchanged(directory.path, metric=tuner.objective.metric, mode=tuner.objective.mode)
        with coded_as_terminated():
            found = held.enter_context(cluster_for(options))
            study = study_on(found, directory, tuner, options, console)
        # Installed again, since Ray has replaced the handler of SIGTERM when it started.
        with ended_by_signals():
            built = study.as_tune()
            refuse_unused(command.changed, study)
            description = describe(study, command, argv)
            if directory.new:
                description["cluster_gpus"] = found.gpus
            look = look_at_data(study)
            typed = [] if argv is None else description["command"]
            how = summary.resume_command(typed, study)
            asked = argv is not None
            started, estimate = confirm_start(console, study, how, asked=asked, look=look)
            if started:
                cost = {} if estimate is None else {"price": estimate.describe()}
                if look is not None:
                    description |= look.described(study.notices)
                study.open({**description, **cost}, argv or ())
                keep()
                baselines.write_baselines(study)
                if look is not None:
                    write_page(study, look)
                callbacks = adapted(tuner.run_config.callbacks or (), study)
                return Begun(study, built, typed, estimate, console, callbacks)
    return None


def cluster_for(options: Options) -> AbstractContextManager[Cluster]:
    """Return the cluster that the options name, or one that is started for their trials."""
    return connected(
        options.address,
        cpus_per_trial=options.cpus_per_trial,
        gpus_per_trial=options.gpus_per_trial,
        max_concurrent=options.max_concurrent,
    )


def study_on(
    found: Cluster, directory: StudyDirectory, tuner: Tuner, options: Options, console: Console
) -> Study:
    """Return the study, with as many trials at once as the cluster's nodes allow.

    Raises:
        ValueError: no trial fits on a node, no node is suitable, or another driver has the study.
    """
    size = (options.cpus_per_trial, options.gpus_per_trial)
    slots = found.slots(*size)
    inspection, notice = None, ""
    if found.own:
        let_trials_inherit_environment()
        if options.gpus_per_trial:
            notice = gpu_notice({socket.gethostname(): seen_gpus()})
    else:
        storage = str(directory.bucket or directory.path.parent)
        inspection = inspect(storage, gpus=options.gpus_per_trial > 0, remote=as_trial)
        inspection.check(*size)
        notice = inspection.gpu_notice(*size)
        for note in inspection.notes():
            show_line(console, "note", note)
    study = Study(
        directory.path,
        tuner,
        options,
        max_concurrent=min(options.max_concurrent or slots, slots),
        bucket=directory.bucket,
        cluster=found,
        inspection=inspection,
        lock=directory.journal,
        gpu_notice=notice,
    )
    if directory.lease is not None:
        directory.lease.on_lost(study.stopper.interrupt)
    return study
