"""What a study has found: the best checkpoint in `best/`, and what it is."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from search_spaces.mode import sign_of
from tune_jobs.runtime.journal import TrialRecord, best_trial
from tune_jobs.runtime.searcher import dirname_of
from tune_jobs.runtime.stopping import INTERRUPTED, STORAGE, TERMINATED
from tune_jobs.runtime.storage.checkpoints import Checkpoint, TrialCheckpoints, is_whole
from tune_jobs.runtime.storage.places import Folder, copy_files
from tune_jobs.runtime.study import Study
from tune_jobs.runtime.study_file import write_json

BEST_FILE = "best.json"


def keep_best(study: Study) -> dict[str, Any] | None:
    """Copies the best checkpoint to `best/`, with `best.json` that says what it is.

    If it is damaged, or gone, the best one that is whole takes its place: that is then what
    `best.json` is about, and `instead_of` in it is the other one. When a study that searches is
    over the test set is used on it, here and nowhere else: one that is resumed without a better
    checkpoint keeps the figure that it has.

    Raises:
        StorageLostError: the storage failed, and did not come back.
    """
    found = best_trial(study.trials.values(), study.metric, study.mode)
    if found is None:
        return None
    best = _told(study, *found)
    target = study.directory / "best"
    known = _read(target / BEST_FILE)
    if known is not None and _same(known, best):
        best = known
    checkpoint = whole_checkpoint(study, best)
    if checkpoint is None:
        return best
    index = int(checkpoint.place.name)
    if (index, checkpoint.epoch) != (best["trial"], best["epoch"]):
        if best is known:
            # A copy of it lies in `best/`.
            return best
        meant = {name: best[name] for name in ("trial", "epoch", study.metric)}
        best = _told(study, study.trials[index], checkpoint.epoch, checkpoint.value)
        best["instead_of"] = meant
        best = known if known is not None and _same(known, best) else best
    best["checkpoint"] = str(checkpoint.place / checkpoint.name)
    _put_best(study, checkpoint, best)
    evaluate = getattr(study.parts.trainable, "evaluate", None)
    searched = bool(study.space.parameters)
    if searched and is_over(study) and "test" not in best and evaluate is not None:
        best["test"] = evaluate(best["config"], str(target), study.parts.dataset)
        write_json(target / BEST_FILE, best, study.outages)
    return best


def whole_checkpoint(study: Study, best: Mapping[str, Any]) -> Checkpoint | None:
    """The one of `best`, or if that is damaged the best of the trials' others that is not."""

    def of(index: int) -> TrialCheckpoints:
        return TrialCheckpoints(study.checkpoints / dirname_of(index), study.mode)

    first = of(best["trial"]).of_epoch(best["epoch"])
    if first is not None and is_whole(first):
        return first
    found = [
        (index, checkpoint)
        for index, trial in study.trials.items()
        for checkpoint in of(index).newest_first()
        # Its trial may have been killed before it reported, and never have gone on.
        if checkpoint.donor is None and checkpoint.epoch in trial.results
    ]
    sign = -sign_of(study.mode)
    found.sort(key=lambda at: (sign * at[1].value, at[0], at[1].epoch))
    return next((checkpoint for _, checkpoint in found if is_whole(checkpoint)), None)


def _told(study: Study, trial: TrialRecord, epoch: int, value: float) -> dict[str, Any]:
    return {
        "trial": trial.index,
        "epoch": epoch,
        study.metric: value,
        "metrics": trial.results[epoch],
        "config": trial.config_at(epoch),
    }


def _same(known: Mapping[str, Any], best: Mapping[str, Any]) -> bool:
    return all(known.get(name) == best.get(name) for name in ("trial", "epoch", "instead_of"))


def _put_best(study: Study, checkpoint: Checkpoint, best: Mapping[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder, checkpoint.whole() as files:
        copy_files(files, Path(folder))
        write_json(Path(folder, BEST_FILE), best, study.outages)
        study.outages(lambda: Folder(study.directory).put(Path(folder), "best"))


def all_ended(study: Study) -> bool:
    """Whether no trial is left to be run or to go on, and no control."""
    trials = study.trials.values()
    left = study.parts.promotion_left() or any(trial.control_left for trial in trials)
    return sum(trial.ended for trial in trials) >= study.total and not left


def is_over(study: Study) -> bool:
    """Whether it has come to an end that was meant: its last trial, or a limit."""
    unmeant = ("", INTERRUPTED, TERMINATED, "failed", STORAGE)
    return all_ended(study) or study.stopper.why not in unmeant


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return content
