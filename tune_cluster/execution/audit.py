"""The audit of a study: a second study, whose trials continue stopped ones of the first.

It is stored beside the first, as `NAME-audit`, and is created like a study that has started and has
no trial yet: from then on it is resumed as any other study, by the script of the first. A stopped
trial resumes from its newest checkpoint, or restarts if none is left, and reaches the same values;
so the sample is unchanged. The first study is only read.
"""

from __future__ import annotations

import time
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
from tune_cluster.execution.tuner import TuneConfig, Tuner
from tune_cluster.plain_text import argument, one_line
from tune_cluster.reports import audit as report
from tune_cluster.storage.checkpoints import TrialCheckpoints, dirname_of
from tune_cluster.storage.store import Store
from tune_cluster.study.directory import TRIALS, StudyDirectory
from tune_cluster.study.state import StudyState
from tune_cluster.study.stored import StoredStudy, read_study
from tune_cluster.study.study_file import read_study_file, write_json, write_study_file

AUDIT_FILE = "audit.json"

OWN_FLAGS = {
    **{"epoch_budget": None, "target": None, "study_patience": None},
    **{"trials": 1, "keep_best": 1},
}
"""Options that an audit does not take over: it ends with its last trial, needs no best one, and
knows its own number of trials."""


class AuditSample(StudySearcher):
    """Configurations of trials of another study, each to be continued from its origin."""

    uses_test_set = False

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
        write_json(result.directory / AUDIT_FILE, found)
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
    study = report.absolute(study)
    first, address = report.read(study), report.audit_address(study)
    about, state = first.about, first.state
    if "rungs" not in about["strategy"]:
        raise ValueError(f"STUDY {study}: it has no rungs that could be audited")
    if state.ended < len(state.trials):
        left = len(state.trials) - state.ended
        raise ValueError(
            f"STUDY {study}: {left} of its trials have not ended; finish it first: "
            f"--resume {argument(study)}"
        )
    with ExitStack() as held:
        if report.is_there(address):
            directory = StudyDirectory.find(address, held)
            known = read_study_file(directory.path)
            audits = known.get("audits", {})
            if audits.get("study") != name_in(study):
                raise ValueError(f"STUDY {study}: {address} exists, and is no audit of it")
            if share < audits["share"]:
                raise ValueError(
                    f"--share {share:g}: {address} has a share of {audits['share']:g} already; it "
                    "can only grow"
                )
            write_study_file(directory.path, {**known, "audits": {**audits, "share": share}})
            return address
        above = address.removesuffix(f"/{name_in(address)}")
        directory = StudyDirectory.create(above, name_in(address), held)
        own = {"name": name_in(address), "max_epochs": about["strategy"]["max_epochs"]}
        description = {
            **{name: value for name, value in about.items() if name not in ("crc", "price")},
            "flags": {**about["flags"], **OWN_FLAGS, **own},
            "strategy": {"searcher": AuditSample.__name__},
            "points": None,
            "audits": {"study": name_in(study), "share": share},
            "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        }
        write_study_file(directory.path, description)
    return address


def name_in(address: str) -> str:
    """Return the name of the study at an address."""
    return address.rstrip("/").rpartition("/")[2]


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
    address = report.audited_address(str(directory.bucket or directory.path.absolute()), about)
    first = report.read(address)
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
