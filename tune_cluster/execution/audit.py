"""The audit of a study: a second study, whose trials continue stopped ones of the first.

It is stored beside the first, as `NAME-audit`, and resumed by the script of the first. A stopped
trial resumes from its newest checkpoint, or restarts if none is left, and reaches the same values;
so the sample is unchanged. The first study is only read.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from search_spaces.objective import Origin
from search_spaces.schedulers.asha import drawn
from search_spaces.searchers.base import StudySearcher
from search_spaces.space import Space
from search_spaces.trial_events import Event
from search_spaces.values import Value
from tune_cluster.callbacks.base import Callback
from tune_cluster.execution.options import Options
from tune_cluster.execution.result import StudyResult
from tune_cluster.execution.second_study import check_ready, create, of_this
from tune_cluster.execution.tuner import TuneConfig, Tuner
from tune_cluster.plain_text import one_line
from tune_cluster.reports import audit as report
from tune_cluster.reports.beside import absolute, is_there, name_in, read, sibling
from tune_cluster.storage.checkpoints import TrialCheckpoints, dirname_of
from tune_cluster.storage.store import Store
from tune_cluster.study.directory import TRIALS, StudyDirectory
from tune_cluster.study.state import StudyState
from tune_cluster.study.stored import StoredStudy, read_study
from tune_cluster.study.study_file import read_study_file, write_json, write_study_file


class AuditSample(StudySearcher):
    """Configurations of trials of another study, each to be continued from its origin."""

    follows_study = True

    def __init__(self, space: Space, trials: list[tuple[dict[str, Any], Origin]]) -> None:
        super().__init__(space)
        self._configs = [config for config, _ in trials]
        self.origins = {index: origin for index, (_, origin) in enumerate(trials)}

    def suggest(self, index: int) -> dict[str, Value] | None:
        """Return the configuration of the trial that trial `index` continues."""
        return self.space.restored(self._configs[index]) if index < len(self._configs) else None


@dataclass
class _Report(Callback):
    """Prints the cost of early stopping when the audit ends."""

    first: StoredStudy
    total: int
    state: StudyState | None = None

    def on_event(self, event: Event, state: StudyState, replay: bool) -> None:
        self.state = state

    def on_end(self, result: StudyResult) -> None:
        assert self.state is not None, "a session has begun"
        continued = report.continuations(self.first.events, self.state)
        asha, to_come = self.first.about["strategy"], self.total - len(self.state.trials)
        found = report.audit_of(self.first.state, asha, continued, to_come)
        write_json(result.directory / report.AUDIT_FILE, found)
        _print(report.audit_lines(found))


def begin(study: str, share: float) -> str:
    """Create the study that audits `study`, or extend an existing one to a larger share; return its
    address.

    Args:
        study: address of the study.
        share: share of its stopped trials.

    Raises:
        ValueError: there is nothing to audit, or the share is invalid.
    """
    if not 0 < share <= 1:
        raise ValueError(f"--share must be above 0 and at most 1, got {share:g}")
    study = absolute(study)
    first, address = read(study), f"{study}{report.AUDIT}"
    about = first.about
    if "rungs" not in about["strategy"]:
        raise ValueError(f"STUDY {study}: it has no rungs that could be audited")
    check_ready(study, first)
    if not is_there(address):
        create(
            address,
            about,
            searcher=AuditSample.__name__,
            flags={"max_epochs": about["strategy"]["max_epochs"], "keep_best": 1},
            audits={"study": name_in(study), "share": share},
        )
        return address
    with ExitStack() as held:
        directory = StudyDirectory.find(address, held)
        known = of_this(directory.path, "audits", study, "audit")
        if share < known["audits"]["share"]:
            raise ValueError(
                f"--share {share:g}: {address} has a share of {known['audits']['share']:g} "
                "already; it can only grow"
            )
        audits = {**known["audits"], "share": share}
        write_study_file(directory.path, {**known, "audits": audits})
    return address


def continued(tuner: Tuner, options: Options, directory: StudyDirectory) -> tuple[Tuner, Options]:
    """Return Tuner and options of the study in a directory: for an audit the job has built those of
    the audited study.

    Raises:
        ValueError: the audited study is missing, or no trial of it is to be continued.
    """
    if directory.new:
        return tuner, options
    about = read_study_file(directory.path)
    if "audits" not in about:
        return tuner, options
    here = str(directory.bucket or directory.path.absolute())
    address = sibling(here, about["audits"]["study"])
    first = read(address)
    found = tuner.strategies(options)
    begun = read_study(directory.path).state.trials.values()
    known = [trial.origin for trial in begun if trial.origin is not None]
    inside = report.continuations(first.events)
    chosen = known + [
        index
        for index, trial in first.state.trials.items()
        if trial.status == "stopped"
        and index not in known
        and not (index in inside and inside[index].ended)
        and drawn(found.scheduler.seed, index, about["audits"]["share"])
    ]
    if not chosen:
        raise ValueError(
            f"STUDY {address}: none of its {first.state.counts['stopped']} stopped trials is in "
            f"the sample; give a larger --share than {about['audits']['share']:g}"
        )
    checkpoints = Store.at(address) / TRIALS
    trials = [_continued(first.state, index, checkpoints) for index in chosen]
    told = f"{len(chosen)} of {first.state.counts['stopped']} stopped trials are finished"
    anew = [origin.trial for _, origin in trials if origin.epoch == 0]
    if anew:
        told += f"; of trials {', '.join(map(str, anew))} no checkpoint is left: they restart"
    _print([("audit", told)])
    sample = AuditSample(found.searcher.space, trials)
    config = TuneConfig(metric=tuner.objective.metric, mode=tuner.objective.mode, search_alg=sample)
    callbacks = (*(tuner.run_config.callbacks or ()), _Report(first, len(chosen)))
    run_config = replace(tuner.run_config, callbacks=callbacks)
    audit = replace(tuner, param_space=None, tune_config=config, run_config=run_config)
    return audit, replace(options, trials=len(chosen), max_epochs=about["flags"]["max_epochs"])


def _continued(state: StudyState, index: int, checkpoints: Store) -> tuple[dict[str, Any], Origin]:
    store = checkpoints / dirname_of(index)
    newest = TrialCheckpoints(store, state.objective.mode).newest_first()
    epoch: Any = newest[0].epoch if newest else 0
    return state.trials[index].config, Origin(trial=index, checkpoints=str(store), epoch=epoch)


def _print(lines: Iterable[tuple[str, str]]) -> None:
    for name, text in lines:
        print(one_line(f"{name:<15}{text}"))
