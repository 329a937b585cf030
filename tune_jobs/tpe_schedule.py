"""How should the learning rate change? A model over schedules, each with its own parameters.

No trial is stopped early: the benefit of a schedule comes at its end, and a rung would prefer the
one that decays first. Compare the best trial of each schedule with `constant`, which has warm-up
and ending too: often they are all that is needed.
"""

from pathlib import Path

from search_spaces.knobs import Knobs
from search_spaces.searchers.auto_search import LearningFlags
from search_spaces.spaces import SCHEDULE, for_targets, within
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
    learning: LearningFlags,
    warm_start: Path | None = None,
) -> Tuner:
    """How should the learning rate change?

    Args:
        warm_start: an earlier study, whose trials the searcher learns from.
    """
    dataset = images.load(
        seed=options.seed, smoke_test=options.smoke_test, train_ratio=knobs.train_ratio()
    )
    space = within(for_targets(SCHEDULE, dataset.search.classes), options.epochs)
    goal = scoring.goal(dataset.search)
    space = space.fix(model=DEFAULT_MODEL, patience=0)
    space = knobs.apply(space, epochs=options.epochs, model=images.model, **goal.config)
    size = batch.values(ImageClassifier, space.complete({}), dataset.search, options, knobs.given)
    space = space.fix(**size)
    return Tuner(
        ImageClassifier,
        tune_config=TuneConfig(
            metric=goal.metric,
            mode=goal.mode,
            search_alg=learning.search(space, seed=options.seed, start_points=options.start_points),
            warm_start=warm_start,
        ),
        dataset=dataset,
    )


if __name__ == "__main__":
    main(job)
