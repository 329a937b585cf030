"""Training without a search: a preset that earlier studies have found, with several seeds.

`tune-cluster train cnn --seeds 3` is equivalent. Check the deviation between the seeds: a smaller
difference between two configurations cannot be shown by a single training of each.
"""

from typing import Annotated

import tyro

from search_spaces.knobs import Knobs
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.space import Space
from trainables.batch_size_flags import BatchSizeFlags
from trainables.image.image_classifier import ImageClassifier
from trainables.image.options import PRESETS, DataFlags, PresetName, config_of
from trainables.prediction.metric_flags import MetricFlags
from tune_cluster import Options, RunConfig, TuneConfig, Tuner, main

DEFAULT_SEEDS = 3
"""Number of seeds by default; the fewest that give a useful deviation."""


def job(
    options: Options,
    *,
    images: DataFlags,
    knobs: Knobs,
    batch: BatchSizeFlags,
    scoring: MetricFlags,
    preset: Annotated[PresetName, tyro.conf.Positional] = "mlp",
    seeds: int | None = None,
) -> Tuner:
    """Train a preset that earlier studies have found, without a search, with several seeds.

    Args:
        preset: configuration to train.
        seeds: number of trainings, each with random streams of its own, 3 by default; for more of
            them later, use --resume STUDY --trials N.
    """
    found, asked = PRESETS[preset], options.trials
    if seeds is not None and seeds < 1:
        raise ValueError(f"--seeds must be at least 1, got {seeds}")
    if asked not in (None, seeds) and seeds and not options.resume:
        raise ValueError(f"--seeds {seeds} --trials {asked}: each is one training; give one")
    ratio = knobs.train_ratio(found.train_ratio)
    dataset = images.load(seed=options.seed, smoke_test=options.smoke_test, train_ratio=ratio)
    goal, epochs = scoring.goal(dataset.search), options.max_epochs or found.epochs
    space = Space(f"preset {preset}", (), fixed=tuple(config_of(preset).items()))
    space = knobs.apply(space, epochs=epochs, **goal.config)
    size = batch.values(ImageClassifier, space.complete({}), dataset.search, options, knobs.given)
    return Tuner(
        ImageClassifier,
        tune_config=TuneConfig(
            metric=goal.metric,
            mode=goal.mode,
            search_alg=RandomSearch(space.fix(**size), seed=options.seed),
            num_samples=seeds or (None if options.smoke_test else DEFAULT_SEEDS),
        ),
        run_config=RunConfig(stop={"training_iteration": epochs}),
        dataset=dataset,
    )


if __name__ == "__main__":
    main(job)
