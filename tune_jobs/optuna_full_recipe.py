"""Which full recipe is best? A model over all hyperparameters, conditional, with ASHA.

Run it as the last study, not the first: fix what is known (`--fix schedule=cosine`), learn from
earlier studies (`--warm-start`), and in the next study fix the values that the best ten trials
share. At a rung a schedule looks worse than at its end.
"""

from pathlib import Path

from search_spaces.knobs import Knobs
from search_spaces.schedulers.asha import ASHA
from search_spaces.searchers.auto_search import LearningFlags
from search_spaces.spaces import FULL_RECIPE, for_targets, within
from trainables.batch_size_flags import BatchSizeFlags
from trainables.image.image_classifier import ImageClassifier
from trainables.image.options import ImageFlags
from trainables.prediction.metric_flags import MetricFlags
from tune_cluster import Options, TuneConfig, Tuner, main


def job(
    options: Options,
    *,
    images: ImageFlags,
    knobs: Knobs,
    batch: BatchSizeFlags,
    scoring: MetricFlags,
    asha: ASHA.Flags,
    learning: LearningFlags,
    warm_start: Path | None = None,
) -> Tuner:
    """Which full recipe is best?

    Args:
        warm_start: an earlier study, whose trials the searcher learns from.
    """
    seed, epochs = options.seed, options.epochs
    ratio = knobs.train_ratio()
    dataset = images.load(seed=seed, smoke_test=options.smoke_test, train_ratio=ratio)
    goal = scoring.goal(dataset.search)
    space = within(for_targets(FULL_RECIPE, dataset.search.classes), epochs)
    space = knobs.apply(space, epochs=epochs, model=images.model, **goal.config)
    size = batch.values(ImageClassifier, space.complete({}), dataset.search, options, knobs.given)
    space = space.fix(**size)
    return Tuner(
        ImageClassifier,
        tune_config=TuneConfig(
            metric=goal.metric,
            mode=goal.mode,
            search_alg=learning.search(space, seed=seed, start_points=options.start_points),
            scheduler=asha.scheduler(max_epochs=epochs, seed=seed),
            warm_start=warm_start,
        ),
        dataset=dataset,
    )


if __name__ == "__main__":
    main(job)
