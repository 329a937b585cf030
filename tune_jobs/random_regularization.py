"""Which regularization, and how much? Random search over dropout, decay, smoothing, augmentation.

No trial is stopped early: regularized training is slower at first, so a rung would rank it too low.
See the gap between accuracy/train and accuracy/validation in TensorBoard, and the validation loss,
which label smoothing changes more than the accuracy.
"""

from search_spaces.knobs import Knobs
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.spaces import REGULARIZATION, for_targets
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
    """Which regularization, and how much?"""
    dataset = images.load(
        seed=options.seed, smoke_test=options.smoke_test, train_ratio=knobs.train_ratio()
    )
    goal = scoring.goal(dataset.search)
    space = for_targets(REGULARIZATION, dataset.search.classes).fix(
        model=DEFAULT_MODEL, patience=0, learning_rate=0.05
    )
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
        ),
        dataset=dataset,
    )


if __name__ == "__main__":
    main(job)
