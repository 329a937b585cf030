"""How is the MLP trained best? A model over a conditional space of ten hyperparameters.

The first trial has the catalogue's defaults, the next are Sobol points, and from then on a Gaussian
process (with `--searcher tpe` or `optuna` Parzen estimators) proposes configurations. See when new
bests appear: without any for a while the study can end (`--study-patience 20`); if they still come,
extend it (`--resume STUDY --trials 128`).
"""

from pathlib import Path

from search_spaces.knobs import Knobs
from search_spaces.searchers.auto_search import LearningFlags
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
    learning: LearningFlags,
    warm_start: Path | None = None,
) -> Tuner:
    """How is the MLP trained best?

    Args:
        warm_start: an earlier study, whose trials the searcher learns from.
    """
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
            search_alg=learning.search(space, seed=options.seed, start_points=options.start_points),
            warm_start=warm_start,
        ),
        dataset=dataset,
    )


if __name__ == "__main__":
    main(job)
