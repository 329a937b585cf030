"""Which learning rate is best at which epoch? Population based training of an image classifier."""

from search_spaces.knobs import Knobs
from search_spaces.schedulers.pbt import PBT
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.spaces import LR, for_targets
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
    perturbation_interval: int = 2,
) -> Tuner:
    """Which learning rate is best at which epoch?

    A population (--trials, 8 by default) trains side by side. After every interval the worst
    quarter takes over the weights of the best quarter, with a similar learning rate. See
    `learning_rate` in the curves: does it rise or fall while the accuracy still grows? The schedule
    of the best weights is in best/schedule.json, and its `config` repeats their training.

    Args:
        perturbation_interval: epochs between two perturbations.
    """
    dataset = images.load(
        seed=options.seed, smoke_test=options.smoke_test, train_ratio=knobs.train_ratio()
    )
    goal = scoring.goal(dataset.search)
    space = for_targets(LR, dataset.search.classes).fix(model=DEFAULT_MODEL, patience=0)
    space = knobs.apply(space, epochs=options.epochs, model=images.model, **goal.config)
    size = batch.values(ImageClassifier, space.complete({}), dataset.search, options, knobs.given)
    space = space.fix(**size)
    pbt = PBT(
        space,
        perturbed=["learning_rate"],
        max_epochs=options.epochs,
        interval=perturbation_interval,
        seed=options.seed,
    )
    return Tuner(
        ImageClassifier,
        tune_config=TuneConfig(
            metric=goal.metric,
            mode=goal.mode,
            search_alg=RandomSearch(space, seed=options.seed, start_points=options.start_points),
            scheduler=pbt,
        ),
        dataset=dataset,
    )


if __name__ == "__main__":
    main(job)
