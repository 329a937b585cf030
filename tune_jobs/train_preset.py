"""Training without a search: a preset, which earlier studies have found, under several seeds.

Look at the deviation between the seeds: what two presets differ by less than it, they do not
differ by. `python -m tune_jobs train cnn --seeds 3` is the same.
"""

from typing import Annotated

import tyro
from ray import tune

from search_spaces.random_search import RandomSearch
from search_spaces.space import Space
from trainables.datasets import load_dataset
from trainables.image_classifier import ImageClassifier
from trainables.presets import PRESETS, config_of
from tune_jobs.runtime.launch import launch
from tune_jobs.runtime.study import Study


def job(
    study: Study,
    *,
    preset: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="PRESET")] = "mlp",
    seeds: int = 3,
) -> tune.Tuner:
    """Training without a search.

    Args:
        preset: mlp or cnn.
        seeds: trainings, each with random streams of its own.
    """
    flags = study.flags
    fixed = config_of(preset)
    dataset = load_dataset(
        flags.dataset, flags.data_dir, seed=flags.seed, train_ratio=PRESETS[preset].train_ratio
    )
    study.total = seeds
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
