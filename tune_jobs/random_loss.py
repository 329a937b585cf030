"""Which loss should be minimised? Random search over losses, class weights and label smoothing.

Trials are compared by validation accuracy, since values of different losses are not comparable. See
loss/validation too: a loss can win on accuracy and give worse probabilities (the margin loss gives
none).
"""

from search_spaces.knobs import Knobs
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.spaces import LOSS, for_targets
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
) -> Tuner:
    """Which loss should be minimised?"""
    dataset = images.load(
        seed=options.seed, smoke_test=options.smoke_test, train_ratio=knobs.train_ratio()
    )
    goal = scoring.goal(dataset.search)
    space = for_targets(LOSS, dataset.search.classes).fix(model=DEFAULT_MODEL, patience=0)
    space = knobs.apply(space, epochs=options.epochs, model=images.model, **goal.config)
    size = batch.values(ImageClassifier, space.complete({}), dataset.search, options, knobs.given)
    space = space.fix(**size)
    return Tuner(
        ImageClassifier,
        tune_config=TuneConfig(
            metric=goal.metric,
            mode=goal.mode,
            search_alg=RandomSearch(space, seed=options.seed, start_points=options.start_points),
        ),
        dataset=dataset,
    )


if __name__ == "__main__":
    main(job)
