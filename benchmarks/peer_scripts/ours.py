"""The study as a job of ours: `tune_jobs/asha_lr_batch.py` with the space and split of all."""

from dataclasses import replace

from ray import tune
from work import GRACE_PERIOD, LEARNING_RATES, REDUCTION_FACTOR, TRAIN_RATIO

from search_spaces.catalogue import BATCH_SIZE, LEARNING_RATE
from search_spaces.schedulers.asha import ASHA
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.space import Space
from trainables.data.datasets import load_dataset
from trainables.image.image_classifier import ImageClassifier
from tune_cluster.execution.launch import launch
from tune_cluster.execution.ray_tune.study import Study

LOW, HIGH = LEARNING_RATES
SPACE = Space("peers", (replace(LEARNING_RATE, low=LOW, high=HIGH), BATCH_SIZE))


def job(study: Study) -> tune.Tuner:
    """Which learning rate goes with which batch size?"""
    flags = study.flags
    dataset = load_dataset(flags.dataset, flags.data_dir, seed=flags.seed, train_ratio=TRAIN_RATIO)
    fixed = {"epochs": study.max_epochs, "train_ratio": TRAIN_RATIO, "patience": 0}
    space = SPACE.fix(model=study.model, **fixed)
    asha = ASHA(
        max_epochs=study.max_epochs,
        grace_period=GRACE_PERIOD,
        reduction_factor=REDUCTION_FACTOR,
    )
    return tune.Tuner(
        study.trainable(ImageClassifier, dataset),
        tune_config=study.tune_config(RandomSearch(space, seed=flags.seed), asha),
        run_config=study.run_config(),
    )


if __name__ == "__main__":
    launch(job, metric="val_accuracy", mode="max")
