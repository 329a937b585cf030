"""What a job says of its study by building its Tuner."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ray import tune
from ray.tune.trainable.function_trainable import wrap_function

from search_spaces.schedulers.base import StudyScheduler
from search_spaces.searchers.base import StudySearcher
from tune_cluster.execution.dataset import Dataset
from tune_cluster.execution.options import Options
from tune_cluster.execution.ray_tune.capabilities import overrides
from tune_cluster.execution.validation import check_resources

Trainable: TypeAlias = type[tune.Trainable] | Callable[..., object]


@dataclass
class Parts:
    """What a job has said of its study by building its Tuner."""

    trainable: Any = None
    dataset: Dataset | None = None
    strategy: StudySearcher | None = None
    scheduler: StudyScheduler = field(default_factory=StudyScheduler)
    run_config: tune.RunConfig | None = None
    gpu_notice: str = ""
    """Where trials have GPUs: what `gpus` has found, which is no part of the job."""

    @property
    def notices(self) -> list[str]:
        """What a person must know before reading anything else of the study."""
        of_data = "" if self.dataset is None else self.dataset.notice
        return [notice for notice in (of_data, self.gpu_notice) if notice]

    def trainable_name(self) -> str:
        """Module and name of the trainable, by which a resume knows it; its code may change. A
        class that has moved says what it was recorded as."""
        recorded = getattr(self.trainable, "__dict__", {}).get("recorded_as")
        if recorded is not None:
            return str(recorded)
        name, of = getattr(self.trainable, "__name__", ""), self.trainable
        if not name:
            # A function with some of its arguments, or an object that can be called.
            of = getattr(self.trainable, "func", type(self.trainable))
            name = of.__name__
        return f"{of.__module__}.{name}"

    @property
    def not_resumable(self) -> str:
        """Why the study can be neither resumed nor extended; empty where it can."""
        searcher = "" if self.strategy is None else self.strategy.not_resumable
        return self.scheduler.not_resumable or searcher

    def reuse_actors(self) -> bool:
        """Whether a process is used by one trial after the other."""
        asked = getattr(self.trainable, "reuse_actors", False)
        # Without a reset of its own, each trial but the first would fail in its process.
        return bool(asked) and overrides(self.trainable, "reset_config")

    @property
    def points(self) -> int | None:
        """Of a grid; None where a searcher has no end."""
        return None if self.strategy is None else self.strategy.size

    def describe_strategy(self) -> dict[str, object]:
        """Searcher and scheduler as plain JSON, for `study.json`."""
        assert self.strategy is not None, "the job has not called study.tune_config()"
        return {**self.strategy.describe(), **self.scheduler.describe()}

    def as_class(self) -> type[tune.Trainable]:
        """The trainable as a class, with its data."""
        with_data: Any = self.trainable
        if self.dataset is not None:
            with_data = tune.with_parameters(with_data, data=self.dataset.search)
        return with_data if inspect.isclass(with_data) else wrap_function(with_data)

    def check(self, options: Options) -> None:
        """Shows points of the space to the trainable, before Tune makes any file, and holds the
        resources of a trial against it.

        Raises:
            ValueError: the trainable does not take one, or asks for other resources.
        """
        if self.strategy is None:
            return
        check_resources(
            self.trainable,
            self.strategy.space.samples(),
            cpus=options.cpus_per_trial,
            gpus=options.gpus_per_trial,
        )
        check = getattr(self.trainable, "check_config", None)
        if check is not None:
            data = {} if self.dataset is None else {"data": self.dataset.search}
            for config in self.strategy.space.samples():
                check(config, **data)
