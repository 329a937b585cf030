"""Any scheduler of Ray Tune's as one of a study."""

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
    """Lets a scheduler of Ray Tune's decide, by what Tune tells it.

    Args:
        scheduler: of Ray Tune.
        own: metric and mode that it was made with, None for what it was not.
    """

    not_resumable = (
        "a scheduler of Ray Tune's keeps to itself what it has decided, so that the study can be "
        "neither resumed nor extended"
    )

    def __init__(self, scheduler: TrialScheduler, own: tuple[str | None, str | None]) -> None:
        super().__init__()
        self._scheduler = scheduler
        self._own = own
        self.all_first = isinstance(scheduler, HyperBandScheduler)
        self._epochs: dict[int, float] = {}
        """The last epoch of each trial that has not ended."""
        self._ended: list[Event] = []
        self._deciding = False
        self._begins_anew = ""
        """The trainable, where it goes on from no checkpoint."""

    def check(self, spec: StudySpec) -> None:
        """Tell the scheduler the metric and the mode.

        Raises:
            ValueError: it has another metric or mode, or pauses trials that cannot go on.
        """
        if isinstance(self._scheduler, HyperBandScheduler) and not spec.continues:
            raise ValueError(
                f"HyperBandScheduler pauses trials, and {spec.trainable} goes on from no "
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
        # Given twice, a scheduler refuses both.
        self._scheduler.set_search_properties(
            None if own_metric else metric, None if own_mode else mode
        )

    def on_trial_add(self, controller: Any, trial: Trial) -> None:
        """A trial is known."""
        self._scheduler.on_trial_add(controller, trial)

    def on_trial_error(self, controller: Any, trial: Trial) -> None:
        """A trial has failed."""
        self._decide(self._scheduler.on_trial_error, controller, trial)

    def on_trial_result(self, controller: Any, trial: Trial, result: Mapping[str, Any]) -> str:
        """A trial goes on, waits or is stopped."""
        index = index_of(trial)
        self._epochs[index] = result["epoch"]
        answer = str(self._decide(self._scheduler.on_trial_result, controller, trial, dict(result)))
        if answer == TrialScheduler.STOP:
            self._stopped(index)
        if answer != TrialScheduler.PAUSE:
            return answer
        # The trial's own checkpoints are all that it needs: Tune is to write none.
        controller.pause_trial(trial, should_checkpoint=False)
        return str(TrialScheduler.NOOP)

    def on_trial_complete(self, controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        """A trial has ended."""
        self._epochs.pop(index_of(trial), None)
        self._decide(self._scheduler.on_trial_complete, controller, trial, result)

    def on_trial_remove(self, controller: Any, trial: Trial) -> None:
        """A trial that does not run is taken away: by the scheduler, if it is deciding."""
        if self._deciding:
            self._stopped(index_of(trial))
        self._decide(self._scheduler.on_trial_remove, controller, trial)

    def choose_trial_to_run(self, controller: Any) -> Trial | None:
        """Name who of those that wait is to go on; the others Tune starts by itself."""
        named = self._scheduler.choose_trial_to_run(controller)
        return named if named is not None and named.status == Trial.PAUSED else None

    def take_events(self) -> list[Event]:
        """Return, once, the ends of trials that were stopped."""
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
        """What a pause costs."""
        if not self._begins_anew:
            return []
        return [
            f"{self._begins_anew} goes on from no checkpoint: a trial that "
            f"{type(self._scheduler).__name__} pauses begins anew at epoch 1"
        ]

    def describe(self) -> dict[str, object]:
        """Its class, for `study.json`."""
        return {"scheduler": type(self._scheduler).__name__}


class PopulationRules(Protocol):
    """How a population scheduler of Ray Tune's changes configurations."""

    name: str
    """Of its class."""
    perturbed: list[str]
    """Names of hyperparameters."""
    interval: int
    """Epochs from one perturbation to the next."""
    quantile_fraction: float
    """Share that takes over, and share that it takes over from."""

    def check(self, metric: str, mode: str) -> None:
        """Take in metric and mode."""

    def tell(self, trial: Trial, result: Mapping[str, Any]) -> None:
        """Take in the result with which a member has come to the end of an interval."""

    def explored(self, member: Trial, donor: Trial, seed: int) -> dict[str, Any]:
        """What `member` goes on with, which takes over the weights of `donor`."""


class AdaptedPopulation(PBT):
    """Ray Tune's PBT or PB2: its way to change a configuration, in our order of things.

    Args:
        rules: of the scheduler.
        max_epochs: the epochs of a member.
        seed: of all that is drawn.
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
        """As for PBT."""
        super().check(spec)
        self._rules.check(spec.objective.metric, spec.objective.mode)

    def on_trial_result(self, controller: Any, trial: Trial, result: Mapping[str, Any]) -> str:
        """Let the member go on, or wait."""
        if result["epoch"] >= self._next_perturbation:
            self._rules.tell(trial, result)
        return super().on_trial_result(controller, trial, result)

    def describe(self) -> dict[str, object]:
        """The scheduler as plain JSON, for `study.json`."""
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
