"""Result of a study: the methods of `ray.tune.ResultGrid`, over each trial's best epoch."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.fs
from ray.tune import Checkpoint

from search_spaces.objective import Mode, Objective
from search_spaces.space import flattened, nested
from search_spaces.trial_events import Epoch
from tune_cluster.storage.checkpoints import TrialCheckpoints, dirname_of
from tune_cluster.storage.store import LocalStore, Store
from tune_cluster.study.state import TrialState
from tune_cluster.study.stored import read_study

if TYPE_CHECKING:
    import pandas as pd


SCOPES: Mapping[str, int | None] = {
    "all": None,
    "last": None,
    "avg": 0,
    "last-5-avg": 5,
    "last-10-avg": 10,
}
"""Scopes of `get_best_result`, each with the epochs whose mean it takes: 0 for all, None for no
mean."""


@dataclass(frozen=True)
class TrialResult:
    """Result of one trial, with the fields of `ray.tune.Result`."""

    config: dict[str, Any]
    """Configuration of its best epoch, as the trainable got it."""
    metrics: dict[str, Any] | None
    """Metrics of its best epoch, with `epoch`, `training_iteration`, `trial_id` and `config`; None
    without a value."""
    path: str
    """Folder of its event files."""
    checkpoint: Checkpoint | None
    """Checkpoint of its best epoch; if that is not kept, the best one that is (its epoch is in
    `best_checkpoints`); None without any."""
    error: Exception | None
    """Reason of its failure, if it has failed."""
    status: str
    """Status: pending, running, finished, stopped, diverged or failed."""
    metrics_dataframe: pd.DataFrame
    """Metrics of each of its epochs."""
    best_checkpoints: list[tuple[Checkpoint, dict[str, Any]]]
    """Its kept checkpoints, by epoch, each with the metrics of that epoch."""

    @property
    def filesystem(self) -> pyarrow.fs.FileSystem:
        """File system of `path`; a checkpoint has its own."""
        return pyarrow.fs.LocalFileSystem()

    def get_best_checkpoint(self, metric: str, mode: Mode) -> Checkpoint | None:
        """Return the best of the checkpoints that are kept, of equals the first.

        Args:
            metric: any that the trial reports.
            mode: "max" or "min".

        Raises:
            RuntimeError: no checkpoint is kept, or none of an epoch with a value of the metric.
            ValueError: another mode.
        """
        key = Objective(metric, mode).key
        found = [
            (key(value), number)
            for number, (_, metrics) in enumerate(self.best_checkpoints)
            if (value := metrics.get(metric)) is not None
        ]
        if not found:
            raise RuntimeError(f"{self.path}: no checkpoint of an epoch with {metric} is kept")
        return self.best_checkpoints[min(found)[1]][0]

    @classmethod
    def from_path(cls, path: str | os.PathLike[str]) -> TrialResult:
        """Return the result of a trial so far, read from its study's journal.

        Args:
            path: folder of the trial, such as `results/my_study/trials/0012`.

        Raises:
            ValueError: the folder is none of a study's trials, or the study is damaged.
        """
        folder = Path(path).absolute()
        study, name = folder.parents[1], folder.name
        about, _, state = read_study(study, "Result.from_path")
        if not name.isdigit() or int(name) not in state.trials:
            raise ValueError(f"Result.from_path({str(path)!r}): {study} has no trial {name}")
        return StudyResult(
            directory=study,
            trials=[*state.trials.values()],
            checkpoints=LocalStore(folder.parent),
            metric=about["metric"],
            mode=about["mode"],
            best=None,
            ended_by="",
            reason="",
            complete=False,
        )[int(name)]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class StudyResult:
    """Result of a study."""

    directory: Path
    """Directory of the study."""
    trials: Sequence[TrialState]
    """Trials in the order of their index."""
    checkpoints: Store
    """Store of the checkpoints of all trials."""
    metric: str
    mode: Mode
    best: Mapping[str, Any] | None
    """Content of `best/best.json`; None without a value."""
    ended_by: str
    """Name of the limit or signal that has ended the study; empty without one."""
    reason: str
    """Details for the user."""
    complete: bool
    """Whether no trial is left to be run."""

    @property
    def config(self) -> dict[str, Any]:
        """Best configuration, as the trainable got it.

        Raises:
            RuntimeError: no trial has reported a value.
        """
        return nested(self._best["config"])

    @property
    def value(self) -> float:
        """Value of the metric at the best epoch; raises as `config`."""
        return float(self._best[self.metric])

    @property
    def checkpoint(self) -> Checkpoint | None:
        """Checkpoint of that epoch, as in `best/`; None if the trainable saves none; raises as
        `config`."""
        best = str(self.directory.absolute() / "best")
        return Checkpoint(best) if "checkpoint" in self._best else None

    @property
    def _best(self) -> Mapping[str, Any]:
        if self.best is None:
            why = f": {self.errors[0]}" if self.errors else ""
            raise RuntimeError(f"no trial has reported {self.metric}{why}")
        return self.best

    @property
    def experiment_path(self) -> str:
        """Directory of the study, under the name that `ResultGrid` uses."""
        return str(self.directory.absolute())

    @property
    def filesystem(self) -> pyarrow.fs.FileSystem:
        """File system of `experiment_path`."""
        return pyarrow.fs.LocalFileSystem()

    def __len__(self) -> int:
        return len(self.trials)

    def __getitem__(self, number: int) -> TrialResult:
        trial = self.trials[number]
        return self._result(trial, None if trial.best is None else trial.best.epoch)

    def __iter__(self) -> Iterator[TrialResult]:
        return (self[number] for number in range(len(self)))

    @property
    def errors(self) -> list[Exception]:
        """Errors of the trials that have failed or diverged."""
        return [error for trial in self.trials if (error := _error_of(trial)) is not None]

    @property
    def num_errors(self) -> int:
        """Number of trials that have failed or diverged."""
        return len(self.errors)

    @property
    def num_terminated(self) -> int:
        """Number of trials that have ended without an error."""
        return sum(trial.ended for trial in self.trials) - self.num_errors

    def get_best_result(
        self,
        metric: str | None = None,
        mode: Mode | None = None,
        scope: str = "all",
        filter_nan_and_inf: bool = True,
    ) -> TrialResult:
        """Return the best trial at its best epoch; the first of equal ones.

        Args:
            metric: any reported metric; the study's if None.
            mode: "max" or "min"; the study's if None.
            scope: "all" epochs, only the "last" one of each trial, or the mean over its epochs,
                "avg", or its last ones, "last-5-avg" and "last-10-avg": then of its last epoch.
            filter_nan_and_inf: must be True: a journal has no value that is not finite.

        Raises:
            RuntimeError: no trial has reported a value of the metric.
            ValueError: the scope or the mode is invalid.
        """
        if scope not in SCOPES:
            raise ValueError(f"scope={scope!r}: it must be {', '.join(SCOPES)}")
        if not filter_nan_and_inf:
            raise ValueError("filter_nan_and_inf=False: no value that is not finite is kept")
        objective = Objective(metric or self.metric, mode or self.mode)
        found = [
            (best, trial)
            for trial in self.trials
            if (best := _best_epoch(trial, objective, scope)) is not None
        ]
        if not found:
            raise RuntimeError(f"no trial has reported {objective.metric}")
        (_, epoch), trial = min(found, key=lambda one: one[0][0])
        return self._result(trial, epoch)

    def get_dataframe(
        self, filter_metric: str | None = None, filter_mode: Mode | None = None
    ) -> pd.DataFrame:
        """Return a row for each trial: `trial`, `status`, the metrics of its best epoch, and its
        configuration as `config/<name>`.

        Args:
            filter_metric: metric that determines the best epoch; the study's if None.
            filter_mode: "max" or "min"; the study's if None.
        """
        import pandas as pd

        objective = Objective(filter_metric or self.metric, filter_mode or self.mode)
        lines = []
        for trial in self.trials:
            best = _best_epoch(trial, objective, "all")
            result = self._result(trial, None if best is None else best[1])
            metrics = {k: v for k, v in (result.metrics or {}).items() if k != "config"}
            config = {f"config/{name}": value for name, value in flattened(result.config).items()}
            lines.append({"trial": trial.index, "status": trial.status, **metrics, **config})
        return pd.DataFrame(lines)

    def __repr__(self) -> str:
        counts = f"{len(self)} trials, {self.num_errors} errors"
        best = "" if self.best is None else f"; {self.metric} {self.value:g} with {self.config}"
        return f"<StudyResult of {self.directory}: {counts}{best}>"

    def _result(self, trial: TrialState, epoch: Epoch | None) -> TrialResult:
        import pandas as pd

        config = nested(trial.config_at(1 if epoch is None else epoch))
        name = dirname_of(trial.index)
        metrics = None
        if epoch is not None:
            metrics = {**_reported(trial, epoch), "trial_id": name, "config": config}
        return TrialResult(
            config=config,
            metrics=metrics,
            path=str((self.directory / "trials" / name).absolute()),
            checkpoint=None if epoch is None else self._checkpoint(trial.index, epoch),
            error=_error_of(trial),
            status=trial.status,
            metrics_dataframe=pd.DataFrame(
                [_reported(trial, known) for known in sorted(trial.results)]
            ),
            best_checkpoints=[*self._kept(trial)],
        )

    def _kept(self, trial: TrialState) -> Iterator[tuple[Checkpoint, dict[str, Any]]]:
        store = self.checkpoints / dirname_of(trial.index)
        for kept in reversed(TrialCheckpoints(store, self.mode).newest_first()):
            if kept.donor is None and kept.epoch in trial.results:
                yield Checkpoint(f"{store}/{kept.name}"), _reported(trial, kept.epoch)

    def _checkpoint(self, index: int, epoch: float) -> Checkpoint | None:
        store = self.checkpoints / dirname_of(index)
        kept = TrialCheckpoints(store, self.mode)
        found = kept.of_epoch(epoch) or kept.best()
        return None if found is None else Checkpoint(f"{store}/{found.name}")


def _reported(trial: TrialState, epoch: Epoch) -> dict[str, Any]:
    """Return the metrics of an epoch, with its number under the names of a study and of Ray."""
    return {**trial.results[epoch], "epoch": epoch, "training_iteration": trial.step(epoch)}


def _best_epoch(trial: TrialState, objective: Objective, scope: str) -> tuple[float, Epoch] | None:
    """Return the sort key of the best value and its epoch, the first of equal ones; None without a
    value."""
    averaged = SCOPES[scope]
    epochs = sorted(trial.results)
    values = [
        (objective.key(value), epoch)
        for epoch in (epochs[-1:] if scope == "last" else epochs)
        if (value := trial.results[epoch].get(objective.metric)) is not None
    ]
    if not values or averaged is None:
        return min(values, default=None)
    last = values[-averaged:]
    return sum(key for key, _ in last) / len(last), epochs[-1]


def _error_of(trial: TrialState) -> Exception | None:
    if trial.status not in ("diverged", "failed"):
        return None
    return RuntimeError(f"trial {trial.index} {trial.status}: {trial.reason}")
