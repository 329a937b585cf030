"""Which optimizer, at which learning rate? A grid over both, every trial to its end.

Check the best learning rate of each optimizer in the table (`trials.csv`): if it is the first or
last of its grid, the grid is too narrow for a fair comparison of the optimizers.
"""

from search_spaces.searchers.grid_search import LIMIT, GridSearch
from search_spaces.spaces import OPTIMIZER
from trainables.image.image_classifier import ImageClassifier
from trainables.image.options import DEFAULT_MODEL, ImageFlags
from tune_cluster import Options, TuneConfig, Tuner, main


def job(options: Options, *, images: ImageFlags, grid_points: int | None = None) -> Tuner:
    """Which optimizer, at which learning rate?

    Args:
        grid_points: number of values of each range, evenly spaced on its scale; by default the
            catalogue's values.
    """
    dataset = images.load(seed=options.seed, smoke_test=options.smoke_test)
    space = OPTIMIZER.fix(model=images.model or DEFAULT_MODEL, epochs=options.epochs, patience=0)
    limit = float("inf") if options.yes or options.resume else LIMIT
    return Tuner(
        ImageClassifier,
        tune_config=TuneConfig(
            metric="val_accuracy",
            mode="max",
            search_alg=GridSearch(
                space, grid_points=grid_points, limit=limit, start_points=options.start_points
            ),
        ),
        dataset=dataset,
    )


if __name__ == "__main__":
    main(job)
