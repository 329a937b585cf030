"""Which network? A model over MLPs, convolutional and residual networks, with ASHA.

Compare seconds as well as epochs: rungs compare networks after equal epochs, and an epoch of a
convolutional network takes as long as thirty of the MLP's.
"""

from pathlib import Path

from search_spaces.knobs import Knobs
from search_spaces.schedulers.asha import ASHA
from search_spaces.searchers.auto_search import LearningFlags
from search_spaces.spaces import ARCHITECTURE, for_targets
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
    """Which network?

    Args:
        warm_start: an earlier study, whose trials the searcher learns from.
    """
    dataset = images.load(
        seed=options.seed, smoke_test=options.smoke_test, train_ratio=knobs.train_ratio()
    )
    goal = scoring.goal(dataset.search)
    space = for_targets(ARCHITECTURE, dataset.search.classes).fix(patience=0)
    space = knobs.apply(space, epochs=options.epochs, model=images.model, **goal.config)
    size = batch.values(ImageClassifier, space.complete({}), dataset.search, options, knobs.given)
    space = space.fix(**size)
    return Tuner(
        ImageClassifier,
        tune_config=TuneConfig(
            metric=goal.metric,
            mode=goal.mode,
            search_alg=learning.search(space, seed=options.seed, start_points=options.start_points),
            scheduler=asha.scheduler(max_epochs=options.epochs, seed=options.seed),
            warm_start=warm_start,
        ),
        dataset=dataset,
    )


if __name__ == "__main__":
    main(job)
