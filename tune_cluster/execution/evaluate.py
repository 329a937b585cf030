"""Evaluation of a study that has ended: ensembles of its best trials, each chosen on held-out
samples and scored on the test set, which is used once."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from tune_cluster.ensembles.comparison import NotAveragedError, Way, chosen, scored, ways
from tune_cluster.ensembles.predictions import Predictions, stacked, write_predictions
from tune_cluster.ensembles.scores import criterion_of
from tune_cluster.execution.description import check_data
from tune_cluster.execution.ensemble_record import (
    ENSEMBLE,
    ENSEMBLE_FILE,
    differences,
    read_record,
    show,
)
from tune_cluster.execution.held_out import PREDICTIONS_FILE, class_names_of, samples_in
from tune_cluster.execution.options import Options
from tune_cluster.execution.plan import show_line
from tune_cluster.execution.ray_tune.capabilities import name_of
from tune_cluster.execution.tuner import Tuner
from tune_cluster.storage.checkpoints import Checkpoint, TrialCheckpoints, dirname_of
from tune_cluster.storage.retry import StorageRetry
from tune_cluster.storage.store import LocalStore, scratch
from tune_cluster.study.directory import StudyDirectory
from tune_cluster.study.state import StudyState, TrialState
from tune_cluster.study.stored import read_study
from tune_cluster.study.study_file import check_unchanged, read_study_file, write_json

SOUP = "soup"
"""Folder with the mean of the weights, if that is the chosen way."""


@dataclass(frozen=True)
class Member:
    """A trial of an ensemble, with the checkpoint that is used."""

    trial: TrialState
    rank: int
    """Rank of the trial, from 1."""
    checkpoint: Checkpoint
    config: dict[str, Any]
    """Configuration of that epoch, as the trainable gets it."""

    @property
    def name(self) -> str:
        """Name of the trial's folder."""
        return dirname_of(self.trial.index)


def evaluate(console: Console, tuner: Tuner, options: Options, directory: StudyDirectory) -> None:
    """Compare ensembles of the best trials of a study, write the best one, and print a table; if
    that was done before, print what was found, since the test set is not used twice.

    Args:
        console: console for the output.
        tuner: Tuner of the study.
        options: options, with the number of trials in `ensemble`.
        directory: directory of the study, locked.

    Raises:
        ValueError: the script or the data differ from the start of the study, the trainable cannot
            predict, or fewer than two checkpoints are kept.
    """
    asked = options.ensemble
    assert asked is not None, "an evaluation was asked for"
    trainable, dataset = tuner.trainable, tuner.dataset
    space = tuner.strategies(options).searcher.space
    check_unchanged(
        directory.path,
        metric=tuner.objective.metric,
        mode=tuner.objective.mode,
        trainable=name_of(trainable),
        space=space.describe(),
    )
    check_data(directory.path, dataset, tuner.inputs)
    state = read_study(directory.path).state
    if "audits" in read_study_file(directory.path):
        raise ValueError(f"STUDY {directory.path}: an audit; evaluate the study that it audits")
    known = read_record(directory)
    if known is not None:
        show(console, known, directory.path)
        for text in differences(known, state, asked):
            show_line(console, "NOTICE", text, style="bold red")
        return
    check_predicts(trainable, directory.path)
    members, missing = _members(state, directory, tuner, asked, options)
    for text in missing.values():
        show_line(console, "note", text)
    if len(members) < 2:
        raise ValueError(
            f"STUDY {directory.path}: {len(members)} of its {asked} best trials has a checkpoint "
            "that can be used, and an ensemble needs 2: resume it with more --trials, or start "
            "it with a larger --keep-best"
        )
    with ExitStack() as held:
        folder = Path(held.enter_context(scratch()), ENSEMBLE)
        folder.mkdir()
        checkpoints = [str(held.enter_context(one.checkpoint.whole())) for one in members]
        show_line(console, "predict", f"{len(members)} checkpoints")
        session = _Session(trainable, dataset, members, checkpoints, held)
        found = session.compare(folder, tuner.objective.metric)
        content = {
            "top": asked,
            "metric": tuner.objective.metric,
            "mode": tuner.objective.mode,
            **found,
            "missing": missing,
            "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        }
        write_json(folder / ENSEMBLE_FILE, content)
        retry = StorageRetry(LocalStore(directory.path))
        retry(lambda: LocalStore(directory.path).put(folder, ENSEMBLE))
    show(console, content, directory.path)


def check_predicts(trainable: Any, study: Path) -> None:
    """Raise a ValueError unless a trainable has `predict`."""
    if not hasattr(trainable, "predict"):
        raise ValueError(
            f"STUDY {study}: {name_of(trainable)} has no predict(config, checkpoint_dir, dataset, "
            'part), which returns {"rows", "targets", "predicted"} of the "validation" or the '
            '"test" part: add that static method to the class (docs/own_models.md, Ensembles)'
        )


def _members(
    state: StudyState, directory: StudyDirectory, tuner: Tuner, asked: int, options: Options
) -> tuple[list[Member], dict[str, str]]:
    """Return the best trials that have a readable checkpoint, the best first, and a text on each of
    the others, by its index."""
    space = tuner.strategies(options).searcher.space
    found, missing = [], {}
    for rank, index in enumerate(state.leaders(asked), 1):
        trial = state.trials[index]
        assert trial.best is not None, "it has a rank"
        store = directory.checkpoints / dirname_of(index)
        kept = TrialCheckpoints(store, state.objective.mode)
        own = [c for c in kept.newest_first() if c.donor is None and c.epoch in trial.results]
        best = kept.best_of(own)
        if best is None:
            why = "is damaged" if kept.names() else "is not kept"
            missing[str(index)] = (
                f"trial {index}, of rank {rank}: its checkpoint {why}. A study keeps those of its "
                f"{options.keep_best} best trials, fewer with a --checkpoint-budget: start it with "
                "a larger --keep-best to have more"
            )
            continue
        if best.epoch != trial.best.epoch:
            missing[str(index)] = (
                f"trial {index}: the checkpoint of epoch {best.epoch} is used, since that of its "
                f"best epoch, {trial.best.epoch}, is not kept"
            )
        config = space.restored(trial.config_at(best.epoch))
        found.append(Member(trial, rank, best, config))
    # One with an earlier epoch may be worse than the next trial.
    found.sort(key=lambda one: (state.objective.key(one.checkpoint.value), one.rank))
    return found, missing


class _Session:
    """Predictions of the members of an ensemble.

    Args:
        trainable: has `predict`, and for soups `average`.
        dataset: dataset of the study.
        members: members, the best first.
        checkpoints: folder of each one's checkpoint.
        held: context of temporary folders.
    """

    def __init__(
        self,
        trainable: Any,
        dataset: Any,
        members: Sequence[Member],
        checkpoints: Sequence[str],
        held: ExitStack,
    ) -> None:
        self._trainable, self._dataset = trainable, dataset
        self._members, self._checkpoints, self._held = members, checkpoints, held
        self._soups: dict[tuple[int, ...], str] = {}

    def compare(self, folder: Path, metric: str) -> dict[str, Any]:
        """Compare all ways, write the files of the best one to a folder, and return the content of
        `ensemble.json`."""
        each = [self._of(number, "validation") for number in range(len(self._members))]
        if any(one is None for one in each):
            raise ValueError('predict(…, "validation") has returned None: it has to predict it')
        held_out = [one for one in each if one is not None]
        truth, stack = stacked(held_out)
        criterion = criterion_of(metric, stack[0], truth.targets)
        soup = self._soup if hasattr(self._trainable, "average") else None
        found = ways(stack, truth, criterion, soup)
        best = chosen(found, criterion)
        # The test set comes last: nothing is chosen by it.
        tests = self._tests(found)
        names = [member.name for member in self._members]
        by_trial = {m.trial.index: p for m, p in zip(self._members, held_out, strict=True)}
        write_predictions(folder / PREDICTIONS_FILE, by_trial, class_names_of(self._dataset))
        self._keep(best, folder)
        whole = samples_in(self._dataset)
        return {
            "criterion": {"score": criterion.metric, "mode": criterion.mode},
            "held_out": {
                "samples": len(truth),
                "of": whole,
                "out_of_fold": whole is not None and len(truth) == whole,
            },
            "chosen": best.name,
            "members": [
                {
                    "trial": member.trial.index,
                    "rank": member.rank,
                    "epoch": member.checkpoint.epoch,
                    metric: member.checkpoint.value,
                    "config": member.config,
                }
                for member in self._members
            ],
            "ways": [
                {
                    "name": way.name,
                    "soup": way.soup,
                    "weights": dict(zip(names, way.weights, strict=True)),
                    "held_out": way.held_out,
                    "test": test,
                }
                for way, test in zip(found, tests, strict=True)
            ],
        }

    def _of(self, number: int, part: str) -> Predictions | None:
        member = self._members[number]
        return self._predicted(self._checkpoints[number], member.config, part, member.name)

    def _predicted(
        self, checkpoint: str, config: Mapping[str, Any], part: str, name: str
    ) -> Predictions | None:
        try:
            found = self._trainable.predict(config, checkpoint, self._dataset, part)
        except Exception as error:
            reason = f"{type(error).__name__}: {error}".partition("\n")[0]
            raise ValueError(f"trial {name}: its predict() has failed: {reason}") from error
        # A dataset may have no test set.
        return None if found is None and part == "test" else Predictions.of(found)

    def _soup(self, members: Sequence[int]) -> Predictions:
        first = self._members[members[0]]
        found = self._predicted(self._averaged(members), first.config, "validation", SOUP)
        assert found is not None, "only a test set may be missing"
        return found

    def _averaged(self, members: Sequence[int]) -> str:
        key = tuple(members)
        if key not in self._soups:
            folder = self._held.enter_context(scratch())
            configs = [self._members[member].config for member in members]
            folders = [self._checkpoints[member] for member in members]
            try:
                self._trainable.average(configs, folders, self._dataset, folder)
            except ValueError as error:
                raise NotAveragedError(str(error)) from None
            self._soups[key] = folder
        return self._soups[key]

    def _tests(self, found: Sequence[Way]) -> list[dict[str, float]]:
        """Return the scores of each way on the test set; nothing if there is none."""
        each = [self._of(number, "test") for number in range(len(self._members))]
        tested = [one for one in each if one is not None]
        if len(tested) < len(each):
            return [{} for _ in found]
        truth, stack = stacked(tested)
        scores = []
        for way in found:
            if way.soup:
                folder = self._averaged([n for n, share in enumerate(way.weights) if share])
                whole = self._predicted(folder, self._members[0].config, "test", SOUP)
                assert whole is not None, "the members have predicted it"
                scores.append(scored(_ALONE, whole.predicted[None], whole.targets))
            else:
                scores.append(scored(way, stack, truth.targets))
        return scores

    def _keep(self, best: Way, folder: Path) -> None:
        """Copy what is needed to use an ensemble: the soup, or the members that have a weight."""
        if best.soup:
            kept = [n for n, share in enumerate(best.weights) if share]
            shutil.copytree(self._averaged(kept), folder / SOUP)
            return
        for number, share in enumerate(best.weights):
            if share:
                member = self._members[number]
                shutil.copytree(self._checkpoints[number], folder / member.name)


_ALONE = Way("alone", (1.0,), {})
