"""Which optimizer, at which learning rate? A grid over both, every trial to its end.

Check the best learning rate of each optimizer in the table (`trials.csv`): if it is the first or
last of its grid, the grid is too narrow for a fair comparison of the optimizers.
"""

from search_spaces.knobs import Knobs
from search_spaces.searchers.grid_search import LIMIT, GridSearch
from search_spaces.spaces import OPTIMIZER, for_targets
from trainables.batch_size_flags import BatchSizeFlags
from trainables.image.image_classifier import ImageClassifier
from trainables.image.options import DEFAULT_MODEL, ImageFlags
from trainables.prediction.metric_flags import MetricFlags
from tune_cluster import Options, TuneConfig, Tuner, main


def job(
    options: Options,
    *,
    images: ImageFlags,
    knobs: Knobs,
    batch: BatchSizeFlags,
    scoring: MetricFlags,
    grid_points: int | None = None,
) -> Tuner:
    """Which optimizer, at which learning rate?

    Args:
        grid_points: number of values of each range, evenly spaced on its scale; by default the
            catalogue's values.
    """
    dataset = images.load(
        seed=options.seed, smoke_test=options.smoke_test, train_ratio=knobs.train_ratio()
    )
    goal = scoring.goal(dataset.search)
    space = for_targets(OPTIMIZER, dataset.search.classes).fix(model=DEFAULT_MODEL, patience=0)
    space = knobs.apply(space, epochs=options.epochs, model=images.model, **goal.config)
    size = batch.values(ImageClassifier, space.complete({}), dataset.search, options, knobs.given)
    space = space.fix(**size)
    limit = float("inf") if options.yes or options.resume else LIMIT
    return Tuner(
        ImageClassifier,
        tune_config=TuneConfig(
            metric=goal.metric,
            mode=goal.mode,
            search_alg=GridSearch(
                space, grid_points=grid_points, limit=limit, start_points=options.start_points
            ),
        ),
        dataset=dataset,
    )


if __name__ == "__main__":
    main(job)
