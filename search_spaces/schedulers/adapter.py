"""Adapter that makes any scheduler of Ray Tune a scheduler of a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from ray.tune.experiment import Trial
from ray.tune.schedulers import HyperBandScheduler, TrialScheduler

from search_spaces.objective import StudySpec
from search_spaces.schedulers.base import StudyScheduler, index_of
from search_spaces.schedulers.pbt import PBT, Member
from search_spaces.space import Space, flattened
from search_spaces.trial_events import Ended, Event


class AdaptedScheduler(StudyScheduler):
    """A study scheduler that leaves all decisions to a scheduler of Ray Tune.

    Args:
        scheduler: a scheduler of Ray Tune.
        own: metric and mode that it was built with; None for each that it was not given.
    """

    not_resumable = (
        "a scheduler of Ray Tune keeps its decisions to itself, so that the study can be neither "
        "resumed nor extended"
    )

    def __init__(self, scheduler: TrialScheduler, own: tuple[str | None, str | None]) -> None:
        super().__init__()
        self._scheduler = scheduler
        self._own = own
        self.all_first = isinstance(scheduler, HyperBandScheduler)
        self._epochs: dict[int, float] = {}
        """Last epoch of each trial that has not ended, by trial."""
        self._ended: list[Event] = []
        self._deciding = False
        self._begins_anew = ""
        """Name of the trainable, if it does not resume from checkpoints; empty otherwise."""

    def check(self, spec: StudySpec) -> None:
        """Pass the metric and the mode to the scheduler.

        Raises:
            ValueError: it was built with another metric or mode, or it pauses trials that cannot
                resume.
        """
        if isinstance(self._scheduler, HyperBandScheduler) and not spec.continues:
            raise ValueError(
                f"HyperBandScheduler pauses trials, but {spec.trainable} does not resume from a "
                "checkpoint: a class needs save_checkpoint and load_checkpoint; a function begins "
                "with tune.get_checkpoint() and reports checkpoint="
            )
        self._begins_anew = "" if spec.continues else spec.trainable
        metric, mode = spec.objective.metric, spec.objective.mode
        own_metric, own_mode = self._own
        if (own_metric or metric, own_mode or mode) != (metric, mode):
            raise ValueError(
                f"{type(self._scheduler).__name__} has the metric {own_metric} and the mode "
                f"{own_mode}, the study {metric} and {mode}: give them to TuneConfig alone"
            )
        # A scheduler raises if it gets metric and mode twice.
        self._scheduler.set_search_properties(
            None if own_metric else metric, None if own_mode else mode
        )

    def on_trial_add(self, controller: Any, trial: Trial) -> None:
        """Pass a new trial to the scheduler."""
        self._scheduler.on_trial_add(controller, trial)

    def on_trial_error(self, controller: Any, trial: Trial) -> None:
        """Pass a failed trial to the scheduler."""
        self._decide(self._scheduler.on_trial_error, controller, trial)

    def on_trial_result(self, controller: Any, trial: Trial, result: Mapping[str, Any]) -> str:
        """Return the scheduler's decision: continue, pause or stop."""
        index = index_of(trial)
        self._epochs[index] = result["epoch"]
        answer = str(self._decide(self._scheduler.on_trial_result, controller, trial, dict(result)))
        if answer == TrialScheduler.STOP:
            self._stopped(index)
        if answer != TrialScheduler.PAUSE:
            return answer
        # The trial writes its own checkpoints, so Tune need not write one.
        controller.pause_trial(trial, should_checkpoint=False)
        return str(TrialScheduler.NOOP)

    def on_trial_complete(self, controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        """Pass the end of a trial to the scheduler."""
        self._epochs.pop(index_of(trial), None)
        self._decide(self._scheduler.on_trial_complete, controller, trial, result)

    def on_trial_remove(self, controller: Any, trial: Trial) -> None:
        """Pass on the removal of a trial that does not run, possibly one that it stopped itself."""
        if self._deciding:
            self._stopped(index_of(trial))
        self._decide(self._scheduler.on_trial_remove, controller, trial)

    def choose_trial_to_run(self, controller: Any) -> Trial | None:
        """Return the paused trial to resume, if any; Tune starts pending trials by itself."""
        named = self._scheduler.choose_trial_to_run(controller)
        return named if named is not None and named.status == Trial.PAUSED else None

    def take_events(self) -> list[Event]:
        """Return the ends of stopped trials since the last call."""
        ended, self._ended = self._ended, []
        return ended

    def _stopped(self, index: int) -> None:
        epoch = self._epochs.pop(index, None)
        if epoch is not None:
            self._ended.append(Ended(trial=index, epoch=epoch, status="stopped"))

    def _decide(self, method: Any, *arguments: Any) -> Any:
        outer, self._deciding = self._deciding, True
        try:
            return method(*arguments)
        finally:
            self._deciding = outer

    def notes(self, trials: int) -> list[str]:
        """Return the cost of a pause where trials do not resume from a checkpoint."""
        if not self._begins_anew:
            return []
        return [
            f"{self._begins_anew} does not resume from a checkpoint: a trial that "
            f"{type(self._scheduler).__name__} pauses restarts at epoch 1"
        ]

    def describe(self) -> dict[str, object]:
        """Return the scheduler's class, for `study.json`."""
        return {"scheduler": type(self._scheduler).__name__}


class PopulationRules(Protocol):
    """The rules by which a population scheduler of Ray Tune changes configurations."""

    name: str
    """Name of the scheduler's class."""
    perturbed: list[str]
    """Names of the perturbed hyperparameters."""
    interval: int
    """Epochs between two perturbations."""
    quantile_fraction: float
    """Share of the population that exploits, and share that is exploited."""

    def check(self, metric: str, mode: str) -> None:
        """Store metric and mode."""

    def tell(self, trial: Trial, result: Mapping[str, Any]) -> None:
        """Take in the result of a member at the end of an interval."""

    def explored(self, member: Trial, donor: Trial, seed: int) -> dict[str, Any]:
        """Return the new configuration of `member`, which takes over the weights of `donor`."""


class AdaptedPopulation(PBT):
    """Ray Tune's PBT or PB2: its rules for new configurations, with the synchronous order of `PBT`.

    Args:
        rules: rules of the scheduler.
        max_epochs: epochs of a member.
        seed: seed of all random draws.
    """

    def __init__(self, rules: PopulationRules, *, max_epochs: int, seed: int) -> None:
        super().__init__(
            Space("population", ()),
            perturbed=(),
            max_epochs=max_epochs,
            interval=rules.interval,
            seed=seed,
            quantile_fraction=rules.quantile_fraction,
        )
        self._rules = rules
        self.perturbed = tuple(rules.perturbed)

    def check(self, spec: StudySpec) -> None:
        """Check as PBT does, and pass metric and mode to the rules."""
        super().check(spec)
        self._rules.check(spec.objective.metric, spec.objective.mode)

    def on_trial_result(self, controller: Any, trial: Trial, result: Mapping[str, Any]) -> str:
        """Return whether the member continues or waits."""
        if result["epoch"] >= self._next_perturbation:
            self._rules.tell(trial, result)
        return super().on_trial_result(controller, trial, result)

    def describe(self) -> dict[str, object]:
        """Return the scheduler as plain JSON, for `study.json`."""
        return {
            "scheduler": self._rules.name,
            "perturbed": list(self.perturbed),
            "perturbation_interval": self._interval,
            "quantile_fraction": self._quantile_fraction,
            "seed": self.seed,
        }

    def _new_config(
        self, member: Member, donor: Member, taken: Sequence[Mapping[str, Any]]
    ) -> dict[str, Any]:
        seed = self._random.randrange(2**32)
        return flattened(self._rules.explored(member.trial, donor.trial, seed))
