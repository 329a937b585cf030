"""How is a pretrained network best fine-tuned on other data? Sobol points over the relevant
hyperparameters.

`--pretrained results/<study>/best` gives the weights; the head is used if its number of classes
fits. Check `freeze_epochs`: if 0 is among the best, fine-tuning does not harm the body. Compare
with `asha_lr_batch.py` on the same data without pretrained weights to see their benefit.
"""

from pathlib import Path

from search_spaces.knobs import Knobs
from search_spaces.searchers.sobol_search import SobolSearch
from search_spaces.spaces import FINE_TUNING, for_targets, within
from trainables.batch_size_flags import BatchSizeFlags
from trainables.image.image_classifier import ImageClassifier
from trainables.image.options import DataFlags, fingerprint_of, fixed_by
from trainables.prediction.metric_flags import MetricFlags
from tune_cluster import Options, RunConfig, TuneConfig, Tuner, main

DEFAULT_EPOCHS = 9
"""Epochs of a trial by default; 3 to 10 are enough with pretrained weights."""


def job(
    options: Options,
    *,
    images: DataFlags,
    knobs: Knobs,
    batch: BatchSizeFlags,
    scoring: MetricFlags,
    pretrained: Path = Path("results/best"),
) -> Tuner:
    """How is a pretrained network best fine-tuned on other data?

    Args:
        pretrained: pretrained weights: a checkpoint folder, such as a study's best, or a state
            dict.
    """
    epochs = options.max_epochs or DEFAULT_EPOCHS
    dataset = images.load(
        seed=options.seed, smoke_test=options.smoke_test, train_ratio=knobs.train_ratio()
    )
    known = fixed_by(pretrained, dataset.search)
    goal = scoring.goal(dataset.search)
    space = within(for_targets(FINE_TUNING, dataset.search.classes), epochs).fix(
        **known, patience=0
    )
    space = knobs.apply(space, epochs=epochs, pretrained=known["pretrained"], **goal.config)
    size = batch.values(ImageClassifier, space.complete({}), dataset.search, options, knobs.given)
    space = space.fix(**size)
    return Tuner(
        ImageClassifier,
        tune_config=TuneConfig(
            metric=goal.metric,
            mode=goal.mode,
            search_alg=SobolSearch(space, seed=options.seed, start_points=options.start_points),
        ),
        dataset=dataset,
        # The study that they are from may grow, and have others then.
        inputs={"pretrained": fingerprint_of(pretrained)},
        run_config=RunConfig(stop={"training_iteration": epochs}),
    )


if __name__ == "__main__":
    main(job)
