"""What a study has found: the methods of `ray.tune.ResultGrid`, over each trial's best epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray.tune import Checkpoint

from search_spaces.objective import Mode, Objective
from search_spaces.space import flattened, nested
from search_spaces.trial_events import Epoch
from tune_cluster.storage.checkpoints import TrialCheckpoints, dirname_of
from tune_cluster.storage.store import Store
from tune_cluster.study.state import TrialState

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]


@dataclass(frozen=True)
class TrialResult:
    """What one trial has come to, as `ray.tune.Result` has it."""

    config: dict[str, Any]
    """That its best epoch was trained with, as the trainable was given it."""
    metrics: dict[str, Any] | None
    """Of its best epoch, and `epoch` and `config`; None if it has reported no value."""
    path: str
    """The folder of its event files."""
    checkpoint: Checkpoint | None
    """Of its best epoch, where that is kept."""
    error: Exception | None
    """Why it has failed, if it has."""
    status: str
    """pending, running, finished, stopped, diverged or failed."""
    metrics_dataframe: pd.DataFrame
    """The metrics of each of its epochs."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class StudyResult:
    """What a study has found."""

    directory: Path
    """Of the study."""
    trials: Sequence[TrialState]
    """In the order of their index."""
    checkpoints: Store
    """Of all trials."""
    metric: str
    mode: Mode
    best: Mapping[str, Any] | None
    """What `best/best.json` says; None if no trial has reported a value."""
    ended_by: str
    """The name of the limit or signal that has ended the study, or nothing."""
    reason: str
    """More of it, for a person."""
    complete: bool
    """Whether no trial is left to be run."""

    @property
    def config(self) -> dict[str, Any]:
        """The best configuration, as the trainable was given it.

        Raises:
            RuntimeError: no trial has reported a value.
        """
        return nested(self._best["config"])

    @property
    def value(self) -> float:
        """Its value of the metric, at its best epoch; errors as those of `config`."""
        return float(self._best[self.metric])

    @property
    def checkpoint(self) -> Checkpoint | None:
        """Of that epoch, as `best/` has it; None where the trainable saves none; errors as those of
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
        """The study's directory, as `ResultGrid` calls it."""
        return str(self.directory.absolute())

    def __len__(self) -> int:
        return len(self.trials)

    def __getitem__(self, number: int) -> TrialResult:
        trial = self.trials[number]
        return self._result(trial, None if trial.best is None else trial.best.epoch)

    def __iter__(self) -> Iterator[TrialResult]:
        return (self[number] for number in range(len(self)))

    @property
    def errors(self) -> list[Exception]:
        """Of the trials that have failed or diverged."""
        return [error for trial in self.trials if (error := _error_of(trial)) is not None]

    @property
    def num_errors(self) -> int:
        """The number of trials that have failed or diverged."""
        return len(self.errors)

    @property
    def num_terminated(self) -> int:
        """The number of trials that have ended without an error."""
        return sum(trial.ended for trial in self.trials) - self.num_errors

    def get_best_result(
        self, metric: str | None = None, mode: Mode | None = None, scope: str = "all"
    ) -> TrialResult:
        """The best trial at its best epoch; of equals the first.

        Args:
            metric: any that the trials report; the study's if None.
            mode: "max" or "min"; the study's if None.
            scope: "all" epochs, or the "last" of each trial alone.

        Raises:
            RuntimeError: no trial has reported a value of it.
            ValueError: another scope or mode.
        """
        if scope not in ("all", "last"):
            raise ValueError(f"scope={scope!r}: it must be all or last")
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
        """A line for each trial: `trial`, `status`, the metrics of its best epoch, and its
        configuration as `config/<name>`.

        Args:
            filter_metric, filter_mode: of which the epoch is the best; the study's if None.
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
        metrics = None
        if epoch is not None:
            metrics = {**trial.results[epoch], "epoch": epoch, "config": config}
        return TrialResult(
            config=config,
            metrics=metrics,
            path=str((self.directory / "trials" / dirname_of(trial.index)).absolute()),
            checkpoint=None if epoch is None else self._checkpoint(trial.index, epoch),
            error=_error_of(trial),
            status=trial.status,
            metrics_dataframe=pd.DataFrame(
                [{"epoch": known, **trial.results[known]} for known in sorted(trial.results)]
            ),
        )

    def _checkpoint(self, index: int, epoch: float) -> Checkpoint | None:
        store = self.checkpoints / dirname_of(index)
        found = TrialCheckpoints(store, self.mode).of_epoch(epoch)
        return None if found is None else Checkpoint(f"{store}/{found.name}")


def _best_epoch(trial: TrialState, objective: Objective, scope: str) -> tuple[float, Epoch] | None:
    """The key of its value, and the epoch, of equals the first; None where the trial has reported
    no value."""
    epochs = sorted(trial.results)
    values = [
        (objective.key(value), epoch)
        for epoch in (epochs if scope == "all" else epochs[-1:])
        if (value := trial.results[epoch].get(objective.metric)) is not None
    ]
    return min(values, default=None)


def _error_of(trial: TrialState) -> Exception | None:
    if trial.status not in ("diverged", "failed"):
        return None
    return RuntimeError(f"trial {trial.index} {trial.status}: {trial.reason}")
