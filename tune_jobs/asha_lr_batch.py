"""Which learning rate suits which batch size? Random search with ASHA, on an image classifier."""

from search_spaces.knobs import Knobs
from search_spaces.schedulers.asha import ASHA
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.spaces import LR_BATCH, for_targets
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
    asha: ASHA.Flags,
) -> Tuner:
    """Which learning rate suits which batch size?

    Random points of the space, stopped early by ASHA: after 1, 3, 9, ... epochs the best third of
    the trials so far continues.
    """
    dataset = images.load(
        seed=options.seed, smoke_test=options.smoke_test, train_ratio=knobs.train_ratio()
    )
    goal = scoring.goal(dataset.search)
    space = for_targets(LR_BATCH, dataset.search.classes).fix(model=DEFAULT_MODEL, patience=0)
    space = knobs.apply(space, epochs=options.epochs, model=images.model, **goal.config)
    size = batch.values(ImageClassifier, space.complete({}), dataset.search, options, knobs.given)
    space = space.fix(**size)
    return Tuner(
        ImageClassifier,
        tune_config=TuneConfig(
            metric=goal.metric,
            mode=goal.mode,
            search_alg=RandomSearch(
                space,
                seed=options.seed,
                start_points=options.start_points,
                around_defaults=options.defaults,
            ),
            scheduler=asha.scheduler(max_epochs=options.epochs, seed=options.seed),
        ),
        dataset=dataset,
    )


if __name__ == "__main__":
    main(job)
