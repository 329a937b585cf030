"""The study as a job of ours: `tune_jobs/asha_lr_batch.py` with the common space and split."""

from dataclasses import replace

from work import GRACE_PERIOD, LEARNING_RATES, REDUCTION_FACTOR, TRAIN_RATIO

from search_spaces.catalogue import LEARNING_RATE
from search_spaces.schedulers.asha import ASHA
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.space import Space
from search_spaces.spaces import BATCH_FROM_32
from trainables.image.image_classifier import ImageClassifier
from trainables.image.options import DEFAULT_MODEL, ImageFlags
from tune_cluster import Options, TuneConfig, Tuner, main

LOW, HIGH = LEARNING_RATES
SPACE = Space("peers", (replace(LEARNING_RATE, low=LOW, high=HIGH), BATCH_FROM_32))


def job(options: Options, *, images: ImageFlags) -> Tuner:
    """Which learning rate suits which batch size?"""
    dataset = images.load(seed=options.seed, train_ratio=TRAIN_RATIO)
    fixed = {"epochs": options.epochs, "train_ratio": TRAIN_RATIO, "patience": 0}
    space = SPACE.fix(model=images.model or DEFAULT_MODEL, **fixed)
    asha = ASHA(
        max_epochs=options.epochs,
        grace_period=GRACE_PERIOD,
        reduction_factor=REDUCTION_FACTOR,
    )
    return Tuner(
        ImageClassifier,
        tune_config=TuneConfig(
            metric="val_accuracy",
            mode="max",
            search_alg=RandomSearch(space, seed=options.seed),
            scheduler=asha,
        ),
        dataset=dataset,
    )


if __name__ == "__main__":
    main(job)
