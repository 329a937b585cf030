"""Which learning rate goes with which batch size? ASHA over both, on an image classifier."""

from ray import tune

from search_spaces.schedulers.asha import ASHA
from search_spaces.schedulers.rungs import RungRule
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.spaces import LR_BATCH
from trainables.data.datasets import load_dataset
from trainables.image.image_classifier import ImageClassifier
from tune_cluster.execution.launch import launch
from tune_cluster.execution.ray_tune.study import Study


def job(
    study: Study,
    *,
    grace_period: int = 1,
    reduction_factor: int = 3,
    rung_rule: RungRule = "promotion",
    audit: float = 0.0,
) -> tune.Tuner:
    """Which learning rate goes with which batch size?

    Random points of the space, stopped early by ASHA: after 1, 3, 9, ... epochs the best third of
    the trials that have come so far goes on.

    Args:
        grace_period: epochs before a trial can be stopped.
        reduction_factor: one trial in so many goes on from a rung.
        rung_rule: who goes on: the best third, from its checkpoint as soon as it is (promotion), or
            at once or never (top), or by Ray Tune's own rule (ray).
        audit: share of the trials that are finished later, as controls, if a rung stops them; the
            study then says what the stopping has cost. 0.05 is a fair start.
    """
    flags = study.flags
    dataset = load_dataset(flags.dataset, flags.data_dir, seed=flags.seed)
    space = LR_BATCH.fix(model=study.model, epochs=study.max_epochs, patience=0)
    asha = ASHA(
        max_epochs=study.max_epochs,
        grace_period=grace_period,
        reduction_factor=reduction_factor,
        rung_rule=rung_rule,
        audit=audit,
        seed=flags.seed,
    )
    return tune.Tuner(
        study.trainable(ImageClassifier, dataset),
        tune_config=study.tune_config(RandomSearch(space, seed=flags.seed), asha),
        run_config=study.run_config(),
    )


if __name__ == "__main__":
    launch(job, metric="val_accuracy", mode="max")
