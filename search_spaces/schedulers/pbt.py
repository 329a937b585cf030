"""Population based training (Jaderberg et al. 2017) as the scheduler of a study.

*Population Based Training of Neural Networks*, arXiv:1711.09846: a population trains side by side;
after every interval each member of the worst quarter takes over weights and configuration of one of
the best quarter (exploit) and changes the configuration (explore). The result is a schedule of
hyperparameters, not a configuration.

Ranking and changes are those of Tune's `PopulationBasedTraining`. The order differs: here all
members wait at the interval before one is changed. So no checkpoint is written or deleted
meanwhile, a failed member delays no other, and the result depends on the seed and the values alone,
whatever the number of members that run at once. A waiting member keeps its process, unless another
member needs it.

`best/schedule.json` lists the configuration of each epoch that led to the best weights, across all
members that held these weights:

- `trial`, `epoch` and the metric, as in `best.json`;
- `lineage`: pairs of first epoch and trial;
- `schedule`: for each perturbed hyperparameter, pairs of first epoch and value;
- `config`: the best configuration with `<name>_schedule` added for each of them. A trainable whose
  config has such a field repeats that training: ours has `learning_rate_schedule`.
"""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from search_spaces.epochs_scaling import check_population
from search_spaces.hyperparameter import Hyperparameter
from search_spaces.objective import Objective, StudySpec
from search_spaces.schedulers.base import Closing, StudyScheduler, TrialConfigs, index_of
from search_spaces.space import Space, checked_space, flattened, nested
from search_spaces.trial_events import Event, Exploited, NotExploited
from search_spaces.values import Value, short

MEMBERS = 8
"""Default size of a population: each member is trained to the end, and a quarter of 8 is two."""

QUANTILE_FRACTION = 0.25
"""Share of the population that exploits, and share that is exploited; Tune's default."""

RESAMPLE_PROBABILITY = 0.25
"""Probability that a perturbed value is drawn anew; Tune's default."""

PERTURBATION_FACTORS = (1.2, 0.8)
"""Factors, one of which multiplies a value that is not drawn anew; Tune's default."""

RETRIES = 16
"""Number of draws for a configuration that differs from those with the same weights and seed."""

ABSENT = object()
"""Placeholder for the value of a hyperparameter that a configuration does not have."""

Schedule: TypeAlias = list[tuple[float, Value]]
"""Schedule of a hyperparameter: pairs of first epoch and value."""


@dataclass
class Member:
    """A member of the population."""

    trial: Trial
    value: float = math.nan
    """Value of the metric at the latest interval; NaN before the first."""
    epoch: float = 0
    """Epoch of that value and of the latest checkpoint; past the interval if reports are rare."""


@dataclass
class Perturbation:
    """The exploits of one interval, one after the other."""

    worst: list[Member]
    """Members that have yet to exploit."""
    best: list[Member]
    taken: dict[int, list[dict[str, Any]]]
    """Configurations that continue a donor's weights, by donor."""
    proposed: tuple[Member, dict[str, Any]] | None = None
    """The member that is about to exploit, and the configuration proposed for it."""


class PBT(StudyScheduler):
    """Perturbs the population at every interval, once all members have reached it.

    Args:
        space: space of the members' configurations; no value leaves its range.
        perturbed: names of the hyperparameters that are changed, ranges or ordered lists. A value
            of a range is multiplied by 0.8 or 1.2, a value of a list is replaced by a neighbour;
            with probability 1/4 the value is drawn anew (Tune's defaults).
        max_epochs: epochs of a member.
        interval: epochs between two perturbations.
        seed: seed of all random draws.
        members: size of the population; None for the number of trials of the study.
        quantile_fraction: share of the population that exploits, and share that is exploited.

    Raises:
        ValueError: a hyperparameter that cannot be changed during training, an interval that is
            never reached, or fewer than two members.
    """

    not_resumable = (
        "a population can be neither resumed nor extended, since its members depend on each "
        "other's weights at every perturbation"
    )
    synchronous = True

    def __init__(
        self,
        space: Space,
        *,
        perturbed: Sequence[str],
        max_epochs: int,
        interval: int,
        seed: int,
        members: int | None = None,
        quantile_fraction: float = QUANTILE_FRACTION,
    ) -> None:
        super().__init__()
        if not 1 <= interval < max_epochs:
            raise ValueError(
                f"perturbation_interval must be at least 1 and below the {max_epochs} epochs of a "
                f"trial, got {interval}"
            )
        if members is not None and members < 2:
            raise ValueError(f"--trials {members}: a population has at least 2 members")
        space = checked_space(space, type(self).__name__)
        check_population(space)
        self._parameters = {name: _checked(space, name) for name in perturbed}
        self.perturbed = tuple(perturbed)
        self.max_epochs = max_epochs
        self.default_trials = members or MEMBERS
        self.seed = seed
        self._asked_size = members
        self._interval = interval
        self._quantile_fraction = quantile_fraction
        self._begin_study(Objective("", "max"), members or MEMBERS)

    def _begin_study(self, objective: Objective, size: int) -> None:
        self._objective = objective
        self._size = size
        self._random = random.Random(self.seed)
        self._members: dict[int, Member] = {}
        """Members by index, in the order in which they began."""
        self._waiting: set[int] = set()
        self._held: list[Member] = []
        """Members that have waited, kept their processes and not continued yet."""
        self._next_perturbation = self._interval
        self._perturbation: Perturbation | None = None
        self._exploits: dict[int, list[Exploited]] = {}

    def check(self, spec: StudySpec) -> None:
        """Take in the objective, and forget the population of a previous study.

        Raises:
            ValueError: a searcher that learns, a number of trials that differs from the number of
                members, or a trainable without checkpoints.
        """
        if self._asked_size not in (None, spec.trials):
            raise ValueError(
                f"--trials {spec.trials}: the population has {self._asked_size} members; give "
                f"PBT(members={spec.trials})"
            )
        if spec.trials < 2:
            raise ValueError(f"--trials {spec.trials}: a population has at least 2 members")
        if spec.searcher.learns:
            # The searcher would get values of configurations that it has not suggested.
            raise ValueError(
                f"{type(spec.searcher).__name__} learns from values, but a population's members "
                "change their configurations: choose its first members by a search that does not "
                "learn, such as random search"
            )
        if not spec.continues:
            raise ValueError(
                f"{spec.trainable} does not resume from a checkpoint, but a population's members "
                "take over each other's: a class needs save_checkpoint and load_checkpoint; a "
                "function begins with tune.get_checkpoint() and reports checkpoint="
            )
        self._begin_study(spec.objective, spec.trials)

    def on_trial_add(self, controller: Any, trial: Trial) -> None:
        """Add a member; a restarted one keeps its place and reports its last epoch again."""
        index = index_of(trial)
        if index not in self._members:
            self._members[index] = Member(trial)
            return
        self._waiting.discard(index)
        for other in self._waiting:
            waiting = self._members[other].trial
            if waiting.status == Trial.RUNNING and self._in_the_way(waiting):
                controller.pause_trial(waiting, should_checkpoint=False)

    def on_trial_result(self, controller: Any, trial: Trial, result: Mapping[str, Any]) -> str:
        """Return whether the member continues or waits; Tune does not call it at a member's end."""
        if result["epoch"] < self._next_perturbation:
            return str(TrialScheduler.CONTINUE)
        index = index_of(trial)
        member = self._members[index]
        member.value, member.epoch = result[self._objective.metric], result["epoch"]
        self._waiting.add(index)
        needed = len(self._members) < self._size or self._paused()
        if needed or self._in_the_way(trial):
            # The trial writes its own checkpoints, so Tune need not write one.
            controller.pause_trial(trial, should_checkpoint=False)
        return str(TrialScheduler.NOOP)

    def next_exploit(self) -> Exploited | None:
        """Return the next exploit once all members wait; None when none is left."""
        if self._perturbation is None:
            live = [index for index, m in self._members.items() if not m.trial.is_finished()]
            complete = len(self._members) == self._size
            if not (live and complete and self._waiting.issuperset(live)):
                return None
            self._perturbation = self._begin(live)
        if self._perturbation.worst:
            return self._propose(self._perturbation, self._perturbation.worst.pop(0))
        self._perturbation = None
        self._held = [m for m in self._members.values() if m.trial.status == Trial.RUNNING]
        self._waiting.clear()
        self._next_perturbation += self._interval
        return None

    def on_event(self, event: Event, replay: bool) -> None:
        """Take in the outcome of an exploit."""
        if isinstance(event, Exploited):
            self._exploits.setdefault(event.trial, []).append(event)
        perturbation = self._perturbation
        if not isinstance(event, (Exploited, NotExploited)) or perturbation is None:
            return
        if perturbation.proposed is not None and isinstance(event, Exploited):
            member, config = perturbation.proposed
            member.trial.set_config(nested(config))
            perturbation.taken[event.donor].append(config)
        perturbation.proposed = None

    def choose_trial_to_run(self, controller: Any) -> Trial | None:
        """Return the trial to run next: a member that has kept its process, else a paused one, else
        the newest pending one."""
        while self._held:
            member = self._held.pop(0)
            if member.trial.status == Trial.RUNNING:
                return member.trial
        if paused := self._paused():
            return paused[0]
        # The newest, so that a free process is not given to a trial whose own is just starting.
        trials = [member.trial for member in self._members.values()]
        pending = [trial for trial in trials if trial.status == Trial.PENDING]
        return pending[-1] if pending else None

    def finish(
        self, trials: Mapping[int, TrialConfigs], best: Mapping[str, Any], metric: str
    ) -> Closing:
        """Return the schedule that the best weights were trained with."""
        line = self._lineage(best["trial"], best["epoch"])
        schedules = {name: _schedule(trials, line, name) for name in self.perturbed}
        content = {
            "trial": best["trial"],
            "epoch": best["epoch"],
            metric: best[metric],
            "lineage": line,
            "schedule": schedules,
            "config": {**best["config"], **{f"{n}_schedule": v for n, v in schedules.items()}},
        }
        lines = []
        for name, pairs in schedules.items():
            values = ", ".join(f"{short(value)} from epoch {first}" for first, value in pairs)
            lines.append(("schedule", f"{name} {values}"))
        return Closing("schedule.json", content, [*lines, ("repeats it", "`config` in {file}")])

    def describe(self) -> dict[str, object]:
        """Return the scheduler as plain JSON, for `study.json`."""
        return {
            "scheduler": "pbt",
            "perturbed": [parameter.describe() for parameter in self._parameters.values()],
            "perturbation_interval": self._interval,
            "perturbation_factors": list(PERTURBATION_FACTORS),
            "quantile_fraction": self._quantile_fraction,
            "resample_probability": RESAMPLE_PROBABILITY,
            "seed": self.seed,
        }

    def _begin(self, live: Sequence[int]) -> Perturbation:
        # The sort is stable: of equal members the first to begin comes first, as the worse one.
        members = sorted(
            (self._members[index] for index in live),
            key=lambda member: self._objective.key(member.value),
            reverse=True,
        )
        count = min(math.ceil(len(members) * self._quantile_fraction), len(members) // 2)
        best = members[len(members) - count :]
        taken = {index_of(member.trial): [flattened(member.trial.config)] for member in best}
        return Perturbation(members[:count], best, taken)

    def _propose(self, perturbation: Perturbation, member: Member) -> Exploited:
        donor = self._random.choice(perturbation.best)
        config = self._new_config(member, donor, perturbation.taken[index_of(donor.trial)])
        perturbation.proposed = (member, config)
        before = flattened(member.trial.config)
        return Exploited(
            trial=index_of(member.trial),
            epoch=donor.epoch,
            donor=index_of(donor.trial),
            value=member.value,
            donor_value=donor.value,
            changes={
                name: [before.get(name), config.get(name)]
                for name in {**before, **config}
                if before.get(name, ABSENT) != config.get(name, ABSENT)
            },
            absent=[name for name in before if name not in config],
        )

    def _new_config(
        self, member: Member, donor: Member, taken: Sequence[Mapping[str, Any]]
    ) -> dict[str, Any]:
        """Return a new configuration for the member, if possible none of `taken`."""
        before = flattened(donor.trial.config)
        for _ in range(1 + RETRIES):
            config = self._explored(before)
            if config not in taken:
                break
        return config

    def _explored(self, config: dict[str, Any]) -> dict[str, Any]:
        """Return the configuration with every perturbed value changed within its range."""
        changed = copy.deepcopy(config)
        for name, parameter in self._parameters.items():
            value, values = config[name], parameter.values
            resampled = self._random.random() < RESAMPLE_PROBABILITY
            if not values:
                if resampled:
                    value = parameter.at(self._random.random())
                else:
                    value *= self._random.choice(PERTURBATION_FACTORS)
                changed[name] = parameter.nearest(value)
            elif resampled or value not in values:
                changed[name] = self._random.choice(values)
            else:
                at = values.index(value) + self._random.choice([-1, 1])
                changed[name] = values[min(max(at, 0), len(values) - 1)]
        return changed

    def _in_the_way(self, waiting: Trial) -> bool:
        """Return whether a pending member needs other resources than a waiting one holds."""
        return any(
            member.trial.placement_group_factory != waiting.placement_group_factory
            for member in self._members.values()
            if member.trial.status == Trial.PENDING
        )

    def _paused(self) -> list[Trial]:
        """Return the trials without a process that do not wait, in the order of the population."""
        ready = [m.trial for index, m in self._members.items() if index not in self._waiting]
        return [trial for trial in ready if trial.status == Trial.PAUSED]

    def _lineage(self, trial: int, epoch: float) -> list[tuple[float, int]]:
        """Return pairs of first epoch and trial: the trials that trained the weights of `trial`
        after `epoch`."""
        took_over = [e for e in self._exploits.get(trial, []) if e.epoch < epoch]
        if not took_over:
            return [(1, trial)]
        last = took_over[-1]
        return [*self._lineage(last.donor, last.epoch), (last.epoch + 1, trial)]


def _schedule(
    trials: Mapping[int, TrialConfigs], line: Sequence[tuple[float, int]], name: str
) -> Schedule:
    """Return the values of hyperparameter `name` along a lineage."""
    pairs: Schedule = []
    for first, trial in line:
        value = trials[trial].config_at(first)[name]
        if not pairs or pairs[-1][1] != value:
            pairs.append((first, value))
    return pairs


def _checked(space: Space, name: str) -> Hyperparameter:
    """Return the hyperparameter of that name, if it can be perturbed.

    Raises:
        ValueError: the space does not have it, or it cannot be perturbed.
    """
    found = [parameter for parameter in space.parameters if parameter.name == name]
    always = [parameter for parameter in found if parameter.exists_under(dict(space.fixed))]
    if len(found) != 1 or not always:
        raise ValueError(
            f"space {space.name}: {name} cannot be perturbed, since not every configuration has it"
        )
    if always[0].kind == "network" or always[0].categorical:
        raise ValueError(
            f"space {space.name}: {name} cannot be perturbed: only a range or an ordered list that "
            f"leaves the network unchanged can change during training"
        )
    return always[0]
