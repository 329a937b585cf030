"""The whole recipe at once? A model over all hyperparameters, conditional, stopped by ASHA.

The last study, not the first: give it what is known (`--fix schedule=cosine`, `--warm-start`), and
fix next time what its best ten agree in. Schedules look worse at a rung than at their end.
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
    """The whole recipe at once?

    Args:
        fix: what is known, as name=value, of any hyperparameter without a flag of its own.
        train_ratio: share of the training images that is trained on; the rest validates.
        warm_start: an earlier study, whose trials the searcher learns first.
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
