"""Population based training (Jaderberg et al. 2017) as a scheduler of Tune, seeded and told.

*Population Based Training of Neural Networks*, arXiv:1711.09846: a population trains side by side;
after every interval each of its worst quarter takes over weights and configuration of one of the
best quarter (exploit) and changes the configuration (explore). So what is found is no configuration
but a schedule.

Who is worst and best, and how a configuration is changed, is Tune's own code. Ours is the order of
things. Tune's perturbs while members are still being saved, waits for ever if the last one to come
has failed instead, and ends processes that it starts anew an interval later. Here everyone waits
first: its process is kept if nobody needs it, and given to the next one else. Then nothing runs, no
checkpoint is written or dropped, and what follows depends on the seed and the values alone, however
many members ran at once.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayError
from ray.tune.experiment import Trial
from ray.tune.schedulers import PopulationBasedTraining, TrialScheduler

from search_spaces.hyperparameter import Hyperparameter
from search_spaces.space import Space, checked_space
from search_spaces.values import Value

RETRIES = 16
"""How often a configuration is drawn again that another member has, with the same weights and seed:
the two would be one."""

ABSENT = object()
"""Unlike any value."""


@dataclass(frozen=True, kw_only=True)
class Exploit:
    """A member that goes on with the weights of another one."""

    trial: int | str
    epoch: float
    """After which both stood when it happened."""
    donor: int | str
    value: float
    """Of the metric, after that epoch."""
    donor_value: float
    changes: dict[str, tuple[Value | None, Value | None]]
    """What changed in the member's configuration: the values before and after, None where there is
    none. The donor's seed comes with its weights: so one seed repeats a whole lineage."""
    absent: tuple[str, ...] = ()
    """Of these the hyperparameters that are gone: None may be a value too."""


class PBT(PopulationBasedTraining):
    """Perturbs the population at every interval, when all of its members have got there.

    Args:
        space: where the members come from; no value leaves its range.
        perturbed: names of the hyperparameters that are changed: ranges and ordered lists. A range
            is multiplied by 0.8 or 1.2, in a list the neighbour is taken; one time in four the
            value is drawn anew (Tune's defaults).
        max_epochs: the epochs of a member.
        interval: epochs from one perturbation to the next.
        seed: of all that is drawn.

    Raises:
        ValueError: a hyperparameter that cannot be changed while a network is trained, or an
            interval that never comes.
    """

    def __init__(
        self, space: Space, *, perturbed: Sequence[str], max_epochs: int, interval: int, seed: int
    ) -> None:
        if not 1 <= interval < max_epochs:
            raise ValueError(
                f"perturbation_interval must be at least 1 and below the {max_epochs} epochs of a "
                f"trial, got {interval}"
            )
        space = checked_space(space, type(self).__name__)
        self._parameters = {name: _checked(space, name) for name in perturbed}
        super().__init__(
            time_attr="epoch",
            perturbation_interval=interval,
            hyperparam_mutations={
                name: list(parameter.values) or _drawn(parameter)
                for name, parameter in self._parameters.items()
            },
            custom_explore_fn=self._inside,
            # The journal has it all.
            log_config=False,
            synch=True,
        )
        self.perturbed = tuple(perturbed)
        self.max_epochs = max_epochs
        self.seed = seed
        self.population = 0
        """Members in all; told by the study, as the next one."""
        self.concurrent: Callable[[], int] = lambda: 0
        """Members that may run at once, at the moment."""
        self.trial_key: Callable[[Trial], int | str] = lambda trial: str(trial.trial_id)
        """How a member is named in what is told."""
        self.on_wait: Callable[[Any], None] = lambda trial: None
        """Told each member that waits for the others."""
        self.on_exploit: Callable[[Exploit], bool] = lambda exploit: True
        """Hands the donor's weights over; False where they cannot be had: nothing happens then."""
        self._random = random.Random(seed).getstate()
        self._waiting: set[Trial] = set()
        self._held: list[Trial] = []
        """Of those that waited, who has kept its process and not gone on yet."""

    def suggest_later(self) -> bool:
        """Whether the searcher has to wait: all that can run do, or the population is complete.

        Only when all its members have ended is the search over. Told so earlier, Tune would end
        every process that comes free.
        """
        if len(self._trial_state) < self.population:
            return self._active() >= self.concurrent()
        return any(not trial.is_finished() for trial in self._trial_state)

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """A new member, or one that is started again: that one reports where it stood again."""
        if trial in self._trial_state:
            self._waiting.discard(trial)
            for other in self._waiting:
                if other.status == Trial.RUNNING and self._in_the_way(other):
                    tune_controller.pause_trial(other, should_checkpoint=False)
            return
        # Tune refuses every searcher here, since one that learns would be told values of
        # configurations that it has not suggested. The study lets no such searcher come here.
        super().on_trial_add(SimpleNamespace(search_alg=None), trial)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Lets the member go on, or wait. Of one that ends with this result Tune tells nothing."""
        epoch = result[self._time_attr]
        if epoch < self._next_perturbation_sync:
            return str(TrialScheduler.CONTINUE)
        self._save_trial_state(self._trial_state[trial], epoch, result, trial)
        self._waiting.add(trial)
        self.on_wait(self.trial_key(trial))
        needed = len(self._trial_state) < self.population or self._paused()
        if needed or self._in_the_way(trial):
            # The trial's own checkpoints are all that it needs: Tune is to write none.
            tune_controller.pause_trial(trial, should_checkpoint=False)
        return str(TrialScheduler.NOOP)

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """Perturbs when all wait, and names who goes on next; asked by Tune in every step."""
        live = [trial for trial in self._trial_state if not trial.is_finished()]
        complete = len(self._trial_state) >= self.population
        if live and complete and self._waiting.issuperset(live):
            self._perturb()
        while self._held:
            trial = self._held.pop(0)
            if trial.status == Trial.RUNNING and _lost_its_process(trial):
                # Tune, which has not noticed, will by this; then it starts the trial again.
                tune_controller._schedule_trial_save(trial)
            elif trial.status == Trial.RUNNING:
                # Its process, which this sets free, is the one that it is given at once.
                tune_controller.pause_trial(trial, should_checkpoint=False)
                return trial
        paused = self._paused()
        if paused and self._active() < self.concurrent():
            return paused[0]
        # The newest: a process that comes free is not for one whose own is just starting.
        pending = [trial for trial in live if trial.status == Trial.PENDING]
        return pending[-1] if pending else None

    def describe(self) -> dict[str, object]:
        """The strategy as plain JSON, for `study.json`."""
        return {
            "scheduler": "pbt",
            "perturbed": [parameter.describe() for parameter in self._parameters.values()],
            "perturbation_interval": self._perturbation_interval,
            "perturbation_factors": list(self._perturbation_factors),
            "quantile_fraction": self._quantile_fraction,
            "resample_probability": self._resample_probability,
            "seed": self.seed,
        }

    def _perturb(self) -> None:
        outside = random.getstate()
        # Tune draws from Python's global generator, which is ours meanwhile and nobody's after.
        random.setstate(self._random)
        try:
            worst, best = self._quantiles()
            # By donor, the configurations that its weights go on under.
            taken: dict[Trial, list[dict[str, Any]]] = {donor: [donor.config] for donor in best}
            for trial in worst:
                donor = random.choice(best)
                if self._exploit_donor(trial, donor, taken[donor]):
                    taken[donor].append(trial.config)
        finally:
            self._random = random.getstate()
            random.setstate(outside)
        self._held = [trial for trial in self._trial_state if trial.status == Trial.RUNNING]
        self._waiting.clear()
        self._next_perturbation_sync += self._perturbation_interval

    def _exploit_donor(self, trial: Trial, donor: Trial, taken: list[dict[str, Any]]) -> bool:
        config, _ = self._get_new_config(trial, donor)
        for _ in range(RETRIES):
            if config not in taken:
                break
            config, _ = self._get_new_config(trial, donor)
        exploit = Exploit(
            trial=self.trial_key(trial),
            # That of its latest checkpoint: later than the perturbation where reports are rare.
            epoch=self._trial_state[donor].last_train_time,
            donor=self.trial_key(donor),
            value=self._metric_op * self._trial_state[trial].last_score,
            donor_value=self._metric_op * self._trial_state[donor].last_score,
            changes={
                name: (trial.config.get(name), config.get(name))
                for name in {**trial.config, **config}
                if trial.config.get(name, ABSENT) != config.get(name, ABSENT)
            },
            absent=tuple(name for name in trial.config if name not in config),
        )
        handed_over = self.on_exploit(exploit)
        if handed_over:
            trial.set_config(config)
        return handed_over

    def _inside(self, config: dict[str, Any]) -> dict[str, Any]:
        """The configuration with every perturbed value inside its range."""
        for name, parameter in self._parameters.items():
            if parameter.low is not None and parameter.high is not None:
                config[name] = min(max(config[name], parameter.low), parameter.high)
                if parameter.integer:
                    config[name] = int(config[name])
        return config

    def _active(self) -> int:
        return sum(trial.status in (Trial.RUNNING, Trial.PENDING) for trial in self._trial_state)

    def _in_the_way(self, waiting: Trial) -> bool:
        """Whether a member is to start that needs other resources than one that waits holds."""
        return any(
            trial.placement_group_factory != waiting.placement_group_factory
            for trial in self._trial_state
            if trial.status == Trial.PENDING
        )

    def _paused(self) -> list[Trial]:
        """Who has no process and does not wait, in the order of the population."""
        return [
            trial
            for trial in self._trial_state
            if trial.status == Trial.PAUSED and trial not in self._waiting
        ]


def _lost_its_process(trial: Trial) -> bool:
    actor = trial.temporary_state.ray_actor
    if actor is None:
        return False
    try:
        # A process that waits answers in a millisecond.
        ray.get(actor.__ray_ready__.remote(), timeout=10)
    except GetTimeoutError:
        return False
    except RayError:
        # Of a dead actor, or of a process that Ray has killed for memory.
        return True
    return False


def _drawn(parameter: Hyperparameter) -> Callable[[], Value]:
    return lambda: parameter.at(random.random())


def _checked(space: Space, name: str) -> Hyperparameter:
    """The hyperparameter of that name, which can be perturbed.

    Raises:
        ValueError: it cannot, or is not there.
    """
    found = [parameter for parameter in space.parameters if parameter.name == name]
    always = [parameter for parameter in found if parameter.exists_under(dict(space.fixed))]
    if len(found) != 1 or not always:
        raise ValueError(
            f"space {space.name}: {name} cannot be perturbed, since not every configuration has it"
        )
    if always[0].kind == "network" or always[0].categorical:
        raise ValueError(
            f"space {space.name}: {name} cannot be perturbed: only what is a range or an ordered "
            f"list, and leaves the network as it is, can change while it is trained"
        )
    return always[0]
