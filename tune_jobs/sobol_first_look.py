"""Which regions of a new space are good? Evenly spread points over all of it, with ASHA.

The recommended first study of a space: Sobol points leave no gap in any hyperparameter. Sort
`trials.csv` by accuracy: if the best tenth gathers at the end of a range, widen it; a
hyperparameter whose best values spread over its whole range can be fixed. The next study, by TPE,
can learn from this one with `--warm-start`.
"""

from search_spaces.knobs import Knobs
from search_spaces.schedulers.asha import ASHA
from search_spaces.searchers.sobol_search import SobolSearch
from search_spaces.spaces import TRAINING, for_targets
from trainables.batch_size_flags import BatchSizeFlags
from trainables.image.image_classifier import ImageClassifier
from trainables.image.options import DataFlags
from trainables.prediction.metric_flags import MetricFlags
from tune_cluster import Options, TuneConfig, Tuner, main


def job(
    options: Options,
    *,
    images: DataFlags,
    knobs: Knobs,
    batch: BatchSizeFlags,
    scoring: MetricFlags,
    asha: ASHA.Flags,
) -> Tuner:
    """Which regions of a new space are good?"""
    dataset = images.load(
        seed=options.seed, smoke_test=options.smoke_test, train_ratio=knobs.train_ratio()
    )
    goal = scoring.goal(dataset.search)
    space = for_targets(TRAINING, dataset.search.classes).fix(patience=0)
    space = knobs.apply(space, epochs=options.epochs, **goal.config)
    size = batch.values(ImageClassifier, space.complete({}), dataset.search, options, knobs.given)
    space = space.fix(**size)
    return Tuner(
        ImageClassifier,
        tune_config=TuneConfig(
            metric=goal.metric,
            mode=goal.mode,
            search_alg=SobolSearch(space, seed=options.seed, start_points=options.start_points),
            scheduler=asha.scheduler(max_epochs=options.epochs, seed=options.seed),
        ),
        dataset=dataset,
    )


if __name__ == "__main__":
    main(job)
