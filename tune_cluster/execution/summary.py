"""The last lines of a study on the console."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from search_spaces.objective import shown_value
from search_spaces.schedulers.base import Closing
from tune_cluster.callbacks.console import spelled
from tune_cluster.callbacks.stopping import CONDITION_FAILED, FAILED, NODES
from tune_cluster.command_words import flag_in, without
from tune_cluster.duration import duration
from tune_cluster.errors import print_error
from tune_cluster.execution.held_out import PREDICTIONS_FILE, held_out_lines
from tune_cluster.execution.ray_tune.study import Study
from tune_cluster.execution.result import StudyResult
from tune_cluster.execution.signals import EXIT_CODES
from tune_cluster.plain_text import argument, one_line, pasted
from tune_cluster.storage.checkpoints import TRIAL_FILES, TrialCheckpoints, dirname_of
from tune_cluster.storage.inside import opened
from tune_cluster.study.study_file import write_json


def show_summary(
    console: Console,
    study: Study,
    best: dict[str, Any] | None,
    more: Sequence[tuple[str, str]] = (),
) -> None:
    """Print what was found, and where it is.

    Args:
        console: console for the output.
        study: study that has ended.
        best: result of `keep_best`.
        more: further lines, of a name and a text.
    """
    line = partial(print_line, console)
    console.print()
    trials = list(study.trials.values())
    counts = ", ".join(f"{n} {status}" for status, n in sorted(study.state.counts.items()) if n)
    epochs = sum(len(trial.results) for trial in trials)
    lost = sum(trial.epochs_lost for trial in trials)
    not_counted = f", and {lost} that were lost" if lost else ""
    reason = study.stopper.reason
    line("ended by", f"{study.ending}: {reason}" if reason else study.ending)
    line("trials", f"{len(trials)} of {study.total}: {counts}; {epochs} epochs in all{not_counted}")
    if best is None:
        line("best", "none: no trial has reported a value")
    else:
        kept = dict(study.space.fixed).keys() - set(study.scheduler.perturbed)
        config = spelled(best["config"], without=kept)
        line("best", f"trial {best['trial']}: {config}")
        line("best epoch", f"{best['epoch']} of {study.trials[best['trial']].epochs}")
        line(study.metric, shown_value(best[study.metric]))
        if "instead_of" in best:
            meant = best["instead_of"]
            line(
                "NOTICE",
                f"the best checkpoint, of trial {meant['trial']} after epoch {meant['epoch']} "
                f"({study.metric} {shown_value(meant[study.metric])}), was not saved, or is "
                "damaged; this is the next",
            )
        if "checkpoint" not in best:
            missing = f"none: that of epoch {best['epoch']} is not there, or damaged"
            places = [study.checkpoints / dirname_of(trial.index) for trial in trials]
            none_at_all = not any(TrialCheckpoints(p, study.mode).names() for p in places)
            line("checkpoint", "none: no trial has saved one" if none_at_all else missing)
        if "test_error" in best:
            line("NOTICE", f"its evaluate() has failed on the test set: {best['test_error']}")
        for name, text in held_out_lines(best, typed(study.directory / "best" / PREDICTIONS_FILE)):
            line(name, text)
        used = " (the test set was used for this checkpoint alone)"
        scores = best.get("test", {})
        names = (f"test_{study.metric.removeprefix('val_')}", "test_accuracy")
        for name in [n for n in dict.fromkeys(names) if n in scores] or scores:
            line(name, f"{shown_value(scores[name])}{used}")
        if "checkpoint" in best:
            line("checkpoint", argument(f"{address(study)}/best"))
        files = study.trials_dir / dirname_of(best["trial"]) / TRIAL_FILES
        if files.is_dir():
            line("files", typed(files))
    for name, text in more:
        line(name, text)
    line("study", argument(address(study)))
    line("curves", f"{program('tensorboard')} --logdir {typed(study.directory)}")


def show_next(console: Console, study: Study, command: Sequence[str]) -> None:
    """Print how the study is repeated, or resumed.

    Args:
        console: console for the output.
        study: study that has ended.
        command: command that started it; empty if it was started from Python.
    """
    if not (study.complete or study.not_resumable):
        print_line(console, "resume", resume_command(command, study))
    elif command and not study.searcher.follows_study:
        print_line(console, "repeat", pasted(repeated(command, study.total)))


def print_line(console: Console, name: str, text: str) -> None:
    """Print one of the last lines."""
    console.print(one_line(f"{name:<14} {text}"), soft_wrap=True, highlight=False, markup=False)


def exit_code(result: StudyResult, then: str) -> int:
    """Return the exit code of a study that was run, after a line on what has failed; `then` ends
    its sentence with the user's next step."""
    if result.ended_by == FAILED:
        print_error(one_line(f"the first trials all failed alike: {result.reason}"))
        return 1
    if result.ended_by == CONDITION_FAILED:
        print_error(one_line(f"{result.reason}; put that right in a new study"))
        return 1
    if result.ended_by == NODES:
        print_error(f"{result.reason}; put that right, and {then}")
        return 1
    if result.best is None and result.complete:
        print_error(f"no trial has reported {result.metric}; journal.jsonl has the reason of each")
        return 1
    return EXIT_CODES.get(result.ended_by, 0)


def time_taken(expected: float | None, took: float) -> str:
    """Return the time of the session, beside the expected time."""
    estimated = "" if expected is None else f"expected {duration(expected)}, "
    return f"{estimated}took {duration(took)}"


def write_closing(study: Study, closing: Closing | None) -> list[tuple[str, str]]:
    """Write the scheduler's output beside the best checkpoint; return lines for `show_summary`."""
    if closing is None:
        return []
    best = study.directory / "best"
    if closing.file:
        with opened(study.directory, best, make=True):
            write_json(best / closing.file, closing.content, study.retry, study=study.directory)
    where = {"file": typed(best / closing.file), "study": argument(address(study))}
    return [(name, text.format(**where)) for name, text in closing.lines]


def resume_command(command: Sequence[str], study: Study) -> str:
    """Return the resume command, from Python the option to give; or why there is none."""
    if study.not_resumable:
        return study.not_resumable
    if not command:
        return f"resume={address(study)!r}"
    return pasted([*command[:2], "--resume", address(study)])


def address(study: Study) -> str:
    """Return the name of the study on a command line: its bucket, or its folder from here."""
    return str(study.bucket or shown(study.directory))


def repeated(command: Sequence[str], trials: int) -> list[str]:
    """Return the command that started the study, for its present trials and without its name, which
    is used."""
    kept = [word for word in without(command, "--name") if flag_in(word) != "--resume-or-start"]
    if not any(flag_in(word) == "--smoke-test" for word in kept):
        kept = [*without(kept, "--trials"), "--trials", str(trials)]
    return kept


def program(name: str) -> str:
    """Return `name` if the shell finds this environment's program by it, else its path."""
    ours = Path(sys.executable).with_name(name)
    found = shutil.which(name)
    if found is not None and (Path(found) == ours or not ours.exists()):
        return name
    return typed(ours)


def typed(path: Path) -> str:
    """Return a path as it must be typed here."""
    return argument(str(shown(path)))


def shown(path: Path) -> Path:
    """Return the shorter of relative and absolute, for a path below the working directory."""
    absolute = Path(os.path.normpath(path.absolute()))
    here = Path.cwd()
    return absolute.relative_to(here) if absolute.is_relative_to(here) else absolute
