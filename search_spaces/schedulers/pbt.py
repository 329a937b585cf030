"""Population based training (Jaderberg et al. 2017) as a scheduler of a study.

*Population Based Training of Neural Networks*, arXiv:1711.09846: a population trains side by side;
after every interval each of its worst quarter takes over weights and configuration of one of the
best quarter (exploit) and changes the configuration (explore). The result is a schedule of
hyperparameters, not a configuration.

Ranking and changes are those of Tune's `PopulationBasedTraining`. The order is not: here all
members wait at the interval before one is changed. So no checkpoint is written or deleted
meanwhile, a member that fails holds nobody up, and the result depends on the seed and the values
alone, however many members run at once. A member that waits keeps its process, unless another one
needs it.

`best/schedule.json` says what each epoch of the best weights was trained with, whichever member had
them at the time:

- `trial`, `epoch` and the metric, as in `best.json`;
- `lineage`: pairs of first epoch and trial;
- `schedule`: for each perturbed hyperparameter, pairs of first epoch and value;
- `config`: the best configuration with `<name>_schedule` beside each of them. A trainable whose
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

from search_spaces.hyperparameter import Hyperparameter
from search_spaces.objective import Objective, StudySpec
from search_spaces.schedulers.base import Closing, StudyScheduler, TrialConfigs, index_of
from search_spaces.space import Space, checked_space, flattened, nested
from search_spaces.trial_events import Event, Exploited, NotExploited
from search_spaces.values import Value, short

MEMBERS = 8
"""Where nobody says how many: each is trained to the end, and a quarter of them is two."""

QUANTILE_FRACTION = 0.25
"""Tune's default."""

RESAMPLE_PROBABILITY = 0.25
"""Of a perturbed value to be drawn anew."""

PERTURBATION_FACTORS = (1.2, 0.8)
"""By one of which the value of a range is multiplied otherwise."""

RETRIES = 16
"""How often a configuration is drawn again that goes on from the same weights and seed already."""

ABSENT = object()
"""Stands for the value of a hyperparameter that a configuration does not have."""

Schedule: TypeAlias = list[tuple[float, Value]]
"""Of a hyperparameter, pairs of first epoch and value."""


@dataclass
class Member:
    """A member of the population."""

    trial: Trial
    value: float = math.nan
    """Of the metric when it came to the interval; NaN before its first."""
    epoch: float = 0
    """Of that value and of its latest checkpoint: past the interval where reports are rare."""


@dataclass
class Perturbation:
    """The exploits of one interval, one after the other."""

    worst: list[Member]
    """Those that are still to take over."""
    best: list[Member]
    taken: dict[int, list[dict[str, Any]]]
    """By donor, the configurations that its weights go on under."""
    proposed: tuple[Member, dict[str, Any]] | None = None
    """The member that is to take over now, and the configuration that it would have."""


class PBT(StudyScheduler):
    """Perturbs the population at every interval, when all of its members have got there.

    Args:
        space: where the members come from; no value leaves its range.
        perturbed: names of the hyperparameters that are changed: ranges and ordered lists. A value
            of a range is multiplied by 0.8 or 1.2, of a list its neighbour is taken; one time in
            four the value is drawn anew (Tune's defaults).
        max_epochs: the epochs of a member.
        interval: epochs from one perturbation to the next.
        seed: of all that is drawn.
        members: of the population; None for as many as the study has trials.
        quantile_fraction: of the population that takes over, and that it takes over from.

    Raises:
        ValueError: a hyperparameter that cannot be changed while a network is trained, an interval
            that never comes, or less than two members.
    """

    not_resumable = (
        "a population can be neither resumed nor grown, since its members depend on each other's "
        "weights at every perturbation"
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
        """By index, in the order in which they began."""
        self._waiting: set[int] = set()
        self._held: list[Member] = []
        """Of those that waited, who has kept its process and not gone on yet."""
        self._next_perturbation = self._interval
        self._perturbation: Perturbation | None = None
        self._exploits: dict[int, list[Exploited]] = {}

    def check(self, spec: StudySpec) -> None:
        """Take in the objective, and forget the population of another study.

        Raises:
            ValueError: a searcher that learns, another number of trials than members, or a
                trainable without checkpoints.
        """
        if self._asked_size not in (None, spec.trials):
            raise ValueError(
                f"--trials {spec.trials}: the population has {self._asked_size} members; give "
                f"PBT(members={spec.trials})"
            )
        if spec.trials < 2:
            raise ValueError(f"--trials {spec.trials}: a population has at least 2 members")
        if spec.searcher.learns:
            # It would be told values of configurations that it has not suggested.
            raise ValueError(
                f"{type(spec.searcher).__name__} learns from values, but a population's members "
                "change their configurations: choose its first members by a search that does not "
                "learn"
            )
        if not spec.continues:
            raise ValueError(
                f"{spec.trainable} goes on from no checkpoint, which a population's members take "
                "over from each other: a class needs save_checkpoint and load_checkpoint; a "
                "function begins with tune.get_checkpoint() and reports checkpoint="
            )
        self._begin_study(spec.objective, spec.trials)

    def on_trial_add(self, controller: Any, trial: Trial) -> None:
        """A new member, or one that is started again: that one reports where it stood again."""
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
        """Let the member go on, or wait. Of one that ends with this result Tune tells nothing."""
        if result["epoch"] < self._next_perturbation:
            return str(TrialScheduler.CONTINUE)
        index = index_of(trial)
        member = self._members[index]
        member.value, member.epoch = result[self._objective.metric], result["epoch"]
        self._waiting.add(index)
        needed = len(self._members) < self._size or self._paused()
        if needed or self._in_the_way(trial):
            # The trial's own checkpoints are all that it needs: Tune is to write none.
            controller.pause_trial(trial, should_checkpoint=False)
        return str(TrialScheduler.NOOP)

    def next_exploit(self) -> Exploited | None:
        """Who takes over another one's weights, when all wait; None when that is done."""
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
        """Take in what became of an exploit."""
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
        """Name who goes on next: of those that have kept their process, else of the paused, else
        the newest that begins."""
        while self._held:
            member = self._held.pop(0)
            if member.trial.status == Trial.RUNNING:
                return member.trial
        if paused := self._paused():
            return paused[0]
        # The newest: a process that comes free is not for one whose own is just starting.
        trials = [member.trial for member in self._members.values()]
        pending = [trial for trial in trials if trial.status == Trial.PENDING]
        return pending[-1] if pending else None

    def finish(
        self, trials: Mapping[int, TrialConfigs], best: Mapping[str, Any], metric: str
    ) -> Closing:
        """The schedule that the best weights were trained with."""
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
        """The scheduler as plain JSON, for `study.json`."""
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
        # Stable: of equals the first to begin comes first, which is the worse one.
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
        """What the member goes on with: if possible, none of those that are `taken`."""
        before = flattened(donor.trial.config)
        for _ in range(1 + RETRIES):
            config = self._explored(before)
            if config not in taken:
                break
        return config

    def _explored(self, config: dict[str, Any]) -> dict[str, Any]:
        """The configuration with every perturbed value changed, inside its range."""
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
        """Whether a member is to start that needs other resources than one that waits holds."""
        return any(
            member.trial.placement_group_factory != waiting.placement_group_factory
            for member in self._members.values()
            if member.trial.status == Trial.PENDING
        )

    def _paused(self) -> list[Trial]:
        """Who has no process and does not wait, in the order of the population."""
        ready = [m.trial for index, m in self._members.items() if index not in self._waiting]
        return [trial for trial in ready if trial.status == Trial.PAUSED]

    def _lineage(self, trial: int, epoch: float) -> list[tuple[float, int]]:
        """Who trained the weights that `trial` had after it: pairs of first epoch and trial."""
        took_over = [e for e in self._exploits.get(trial, []) if e.epoch < epoch]
        if not took_over:
            return [(1, trial)]
        last = took_over[-1]
        return [*self._lineage(last.donor, last.epoch), (last.epoch + 1, trial)]


def _schedule(
    trials: Mapping[int, TrialConfigs], line: Sequence[tuple[float, int]], name: str
) -> Schedule:
    """The values of hyperparameter `name` along a lineage."""
    pairs: Schedule = []
    for first, trial in line:
        value = trials[trial].config_at(first)[name]
        if not pairs or pairs[-1][1] != value:
            pairs.append((first, value))
    return pairs


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
