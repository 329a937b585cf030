"""Which full recipe is best? A model over all hyperparameters, conditional, with ASHA.

Run it as the last study, not the first: fix what is known (`--fix schedule=cosine`), learn from
earlier studies (`--warm-start`), and in the next study fix the values that the best ten trials
share. At a rung a schedule looks worse than at its end.
"""

from pathlib import Path

from search_spaces.schedulers.asha import ASHA
from search_spaces.searchers.auto_search import LearningFlags
from search_spaces.space import parse_fixed
from search_spaces.spaces import FULL_RECIPE, within
from trainables.image.image_classifier import ImageClassifier
from trainables.image.options import ImageFlags
from tune_cluster import Options, TuneConfig, Tuner, main


def job(
    options: Options,
    *,
    images: ImageFlags,
    asha: ASHA.Flags,
    learning: LearningFlags,
    fix: tuple[str, ...] = (),
    train_ratio: float = 0.8,
    warm_start: Path | None = None,
) -> Tuner:
    """Which full recipe is best?

    Args:
        fix: known values, as name=value, of hyperparameters that have no flag of their own.
        train_ratio: share of the training images to train on; the rest is the validation set.
        warm_start: an earlier study, whose trials the searcher learns from.
    """
    seed, epochs = options.seed, options.epochs
    dataset = images.load(seed=seed, smoke_test=options.smoke_test, train_ratio=train_ratio)
    space = within(FULL_RECIPE, epochs)
    if images.model is not None:
        space = space.fix(model=images.model)
    space = space.fix(epochs=epochs, train_ratio=train_ratio, **parse_fixed(fix))
    return Tuner(
        ImageClassifier,
        tune_config=TuneConfig(
            metric="val_accuracy",
            mode="max",
            search_alg=learning.search(space, seed=seed, start_points=options.start_points),
            scheduler=asha.scheduler(max_epochs=epochs, seed=seed),
            warm_start=warm_start,
        ),
        dataset=dataset,
    )


if __name__ == "__main__":
    main(job)
