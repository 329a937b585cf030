"""Several seeds of one configuration: what each came to, and by how much they differ."""

from __future__ import annotations

import statistics
from contextlib import suppress
from typing import Any

from tune_cluster.execution.best import is_over
from tune_cluster.execution.ray_tune.study import Study
from tune_cluster.storage.checkpoints import TrialCheckpoints, dirname_of
from tune_cluster.study.study_file import write_json
from tune_cluster.trial.seeds import trial_seed

REPLICATES_FILE = "seeds.json"


def write_replicates(study: Study) -> list[tuple[str, str]]:
    """`seeds.json` of a study that searches nothing, where its trials differ by their seed alone:
    of each its best epoch, and what the test set says of it; the mean and the standard deviation
    over them in lines of a name and a text.

    Nothing is chosen between them, so that the test set may be used on each, when they all have
    ended.
    """
    if study.space.parameters or not is_over(study):
        return []
    found = [_told(study, index) for index in sorted(study.trials)]
    told = [one for one in found if one is not None]
    write_json(study.directory / REPLICATES_FILE, {"seeds": told}, study.retry)
    values: dict[str, list[float]] = {}
    for one in told:
        for name, value in {study.metric: one["value"], **one["test"]}.items():
            values.setdefault(name, []).append(value)
    # One that diverged, or whose checkpoint is damaged, is in no mean, and is to be seen.
    return [
        (name, f"{_spread(numbers)} over {len(numbers)} of {study.total} seeds")
        for name, numbers in values.items()
    ]


def _told(study: Study, index: int) -> dict[str, Any] | None:
    trial = study.trials[index]
    best = trial.best
    if trial.status != "finished" or best is None:
        return None
    epoch, value = best
    config = study.space.restored(trial.config_at(epoch))
    store = study.checkpoints / dirname_of(index)
    checkpoint = TrialCheckpoints(store, study.mode).of_epoch(epoch)
    evaluate = getattr(study.parts.trainable, "evaluate", None)
    test = {}
    if checkpoint is not None and evaluate is not None:
        with suppress(ValueError, OSError), checkpoint.whole() as files:
            test = evaluate(config, str(files), study.parts.dataset)
    seed = config.get("seed", trial_seed(study.options.seed, index))
    return {"seed": seed, "epoch": epoch, "value": value, "test": test}


def _spread(numbers: list[float]) -> str:
    if len(numbers) < 2:
        return f"{numbers[0]:.4f}"
    return f"{statistics.mean(numbers):.4f} ± {statistics.stdev(numbers):.4f}"
