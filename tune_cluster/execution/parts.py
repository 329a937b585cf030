"""What a job says of its study by building its Tuner."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from ray import tune
from ray.tune.trainable.function_trainable import wrap_function

from search_spaces.schedulers.asha import ASHA
from search_spaces.schedulers.pbt import PBT
from search_spaces.searchers.strategy import Strategy
from tune_cluster.execution.dataset import Dataset
from tune_cluster.execution.options import Options
from tune_cluster.execution.ray_tune.capabilities import can_resume, overrides
from tune_cluster.execution.validation import check_resources

Trainable: TypeAlias = type[tune.Trainable] | Callable[..., object]


@dataclass
class Parts:
    """What a job has said of its study by building its Tuner."""

    trainable: Any = None
    dataset: Dataset | None = None
    strategy: Strategy | None = None
    scheduler: ASHA | PBT | None = None
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
    def asha(self) -> ASHA | None:
        """The scheduler, where it has rungs."""
        return self.scheduler if isinstance(self.scheduler, ASHA) else None

    def reuse_actors(self) -> bool:
        """Whether a process is used by one trial after the other."""
        asked = getattr(self.trainable, "reuse_actors", False)
        # Without a reset of its own, each trial but the first would fail in its process.
        return bool(asked) and overrides(self.trainable, "reset_config")

    def promotes(self) -> bool:
        """Whether a trial that a rung stops may go on after all."""
        return self.asha is not None and self.asha.rungs.rule == "promotion"

    def promotion_left(self) -> bool:
        """Whether one is to go on that has not begun to."""
        return self.asha is not None and self.asha.promotable() is not None

    @property
    def points(self) -> int | None:
        """Of a grid; None where a searcher has no end."""
        return None if self.strategy is None else self.strategy.size

    def describe_strategy(self) -> dict[str, object]:
        """Searcher and scheduler as plain JSON, for `study.json`."""
        assert self.strategy is not None, "the job has not called study.tune_config()"
        scheduler = {} if self.scheduler is None else self.scheduler.describe()
        return {**self.strategy.describe(), **scheduler}

    def is_control(self, index: int) -> bool:
        """Whether the trial of that index is finished later if a rung stops it."""
        return self.asha is not None and self.asha.is_control(index)

    def record_failure(self, index: int, epoch: float) -> None:
        """Tells the rungs of a trial that diverged or failed."""
        if self.asha is not None:
            self.asha.replay_failure(index, epoch)

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

    def check_rungs(self) -> None:
        """Holds the rungs, if there are any, against trainable and space, and tells them to the
        strategy.

        Raises:
            ValueError: they do not go together.
        """
        if self.asha is None or self.strategy is None:
            return
        if self.trainable is not None:
            self.asha.check_checkpoints(can_resume(self.trainable))
        self.asha.check_space(self.strategy.space)
        self.strategy.rungs = self.asha.rungs.milestones
