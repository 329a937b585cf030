"""What a study of population based training has of its own: its conditions, and its schedule.

The best weights were seldom trained by one trial alone: each time that it took over another one's
weights their past became its own. `lineage` follows that back, and `best/schedule.json` says what
each epoch of it was trained with:

- `trial`, `epoch` and the metric, as in `best.json`;
- `lineage`: pairs of first epoch and trial;
- `schedule`: for each perturbed hyperparameter, pairs of first epoch and value;
- `config`: the best configuration with `<name>_schedule` beside each of them. A trainable whose
  config has such a field repeats that training: ours has `learning_rate_schedule`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from search_spaces.searchers.learning import LearningSearch
from search_spaces.searchers.strategy import Strategy
from search_spaces.trial_events import Epoch
from search_spaces.values import Value
from tune_cluster.execution.options import Options
from tune_cluster.execution.ray_tune.capabilities import RESUME_NEEDS, can_resume
from tune_cluster.storage.inside import opened
from tune_cluster.storage.retry import StorageRetry
from tune_cluster.study.state import TrialState
from tune_cluster.study.study_file import write_json

SCHEDULE_FILE = "schedule.json"

MEMBERS = 8
"""Where nobody says how many: each is trained to the end, and a quarter of them is two."""

NOT_RESUMED = (
    "a population can be neither resumed nor grown, since its members depend on each other's "
    "weights at every perturbation"
)

Schedule: TypeAlias = list[tuple[Epoch, Value]]


def check_population(options: Options, members: int, strategy: Strategy, trainable: Any) -> None:
    """Refuses what no population can be made of.

    Raises:
        ValueError: a resumed study, a single member, a searcher that learns, or a trainable without
            checkpoints.
    """
    if options.resume is not None:
        raise ValueError(f"--resume {options.resume}: {NOT_RESUMED}; start a new study")
    if members < 2:
        raise ValueError(f"--trials {members}: a population has at least 2 members")
    if isinstance(strategy, LearningSearch):
        # It would be told values of configurations that it has not suggested.
        raise ValueError(
            f"{type(strategy).__name__} learns from values, but a population's members change "
            "their configurations: choose its first members by a search that does not learn"
        )
    if trainable is not None and not can_resume(trainable):
        name = getattr(trainable, "__name__", type(trainable).__name__)
        raise ValueError(
            f"{name} goes on from no checkpoint, which a population's members take over from each "
            f"other: {RESUME_NEEDS}"
        )


def lineage(trials: Mapping[int, TrialState], trial: int, epoch: Epoch) -> list[tuple[Epoch, int]]:
    """Who trained the weights that `trial` had after `epoch`: pairs of first epoch and trial."""
    took_over = [exploit for exploit in trials[trial].exploits if exploit.epoch < epoch]
    if not took_over:
        return [(1, trial)]
    last = took_over[-1]
    return [*lineage(trials, last.donor, last.epoch), (last.epoch + 1, trial)]


def schedule_of(
    trials: Mapping[int, TrialState], line: Sequence[tuple[Epoch, int]], name: str
) -> Schedule:
    """The values of hyperparameter `name` along a lineage: pairs of first epoch and value."""
    pairs: Schedule = []
    for first, trial in line:
        value = trials[trial].config_at(first)[name]
        if not pairs or pairs[-1][1] != value:
            pairs.append((first, value))
    return pairs


def write_schedule(
    directory: Path,
    trials: Mapping[int, TrialState],
    best: Mapping[str, Any],
    *,
    metric: str,
    perturbed: Sequence[str],
    retry: StorageRetry | None = None,
) -> dict[str, Schedule]:
    """Writes `schedule.json` of the best weights to `directory`; the schedules in it."""
    line = lineage(trials, best["trial"], best["epoch"])
    schedules = {name: schedule_of(trials, line, name) for name in perturbed}
    replay = {f"{name}_schedule": pairs for name, pairs in schedules.items()}
    content = {
        "trial": best["trial"],
        "epoch": best["epoch"],
        metric: best[metric],
        "lineage": line,
        "schedule": schedules,
        "config": {**best["config"], **replay},
    }
    with opened(directory.parent, directory, make=True):
        write_json(directory / SCHEDULE_FILE, content, retry, study=directory.parent)
    return schedules
