"""Which convolutional network, and how is it trained? A model proposes trials, ASHA stops them.

The model gets the value of a trial at each rung, so that a stopped trial is neither lost nor
mistaken for a complete one; `--searcher` selects the model. See the decisions (text in TensorBoard,
`journal.jsonl`): later trials should reach good values sooner than the first ones, which are Sobol
points.
"""

from pathlib import Path

from search_spaces.knobs import Knobs
from search_spaces.schedulers.asha import ASHA
from search_spaces.searchers.auto_search import LearningFlags
from search_spaces.spaces import CNN, for_targets
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
    learning: LearningFlags,
    warm_start: Path | None = None,
) -> Tuner:
    """Which convolutional network, and how is it trained?

    Args:
        warm_start: an earlier study, whose trials the searcher learns from.
    """
    dataset = images.load(
        seed=options.seed, smoke_test=options.smoke_test, train_ratio=knobs.train_ratio()
    )
    goal = scoring.goal(dataset.search)
    space = for_targets(CNN, dataset.search.classes).fix(patience=0)
    space = knobs.apply(space, epochs=options.epochs, **goal.config)
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
