"""Training without a search: a preset, which earlier studies have found, under several seeds.

`python -m tune_jobs train cnn --seeds 3` is the same. Look at the deviation between the seeds: two
configurations that differ by less do not differ by anything that a single training can show.
"""

from typing import Annotated

import tyro
from ray import tune

from search_spaces.searchers.random_search import RandomSearch
from search_spaces.space import Space
from trainables.data.datasets import load_dataset
from trainables.image.image_classifier import ImageClassifier
from trainables.image.presets import PRESETS, PresetName, config_of
from tune_cluster.execution.launch import launch
from tune_cluster.execution.ray_tune.study import Study

SEEDS = 3
"""The fewest that have a deviation worth printing."""


def job(
    study: Study,
    *,
    preset: Annotated[PresetName, tyro.conf.Positional] = "mlp",
    seeds: int | None = None,
) -> tune.Tuner:
    """Trains what earlier studies have found, without a search, under several seeds.

    Args:
        preset: what is trained.
        seeds: trainings, each with random streams of its own, 3 unless told; for more of them
            later, --resume STUDY --trials N.
    """
    flags, found = study.flags, PRESETS[preset]
    if seeds is not None and seeds < 1:
        raise ValueError(f"--seeds must be at least 1, got {seeds}")
    if flags.trials not in (None, seeds) and seeds and not (study.events or flags.smoke_test):
        raise ValueError(f"--seeds {seeds} --trials {flags.trials}: each is one training; give one")
    dataset = load_dataset(
        flags.dataset, flags.data_dir, seed=flags.seed, train_ratio=found.train_ratio
    )
    if not study.events and (seeds or flags.trials is None):
        study.total = seeds or SEEDS
    if flags.max_epochs is None:
        study.max_epochs = found.epochs
    fixed = {**config_of(preset), "epochs": study.max_epochs}
    space = Space(f"preset {preset}", (), fixed=tuple(fixed.items()))
    return tune.Tuner(
        study.trainable(ImageClassifier, dataset),
        tune_config=study.tune_config(RandomSearch(space, seed=flags.seed)),
        run_config=study.run_config(),
    )


def main() -> None:
    """Runs it."""
    launch(job, metric="val_accuracy", mode="max")


if __name__ == "__main__":
    main()
