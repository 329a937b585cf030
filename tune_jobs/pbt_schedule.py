"""Which learning rate, when? Population based training of an image classifier."""

from ray import tune

from search_spaces.schedulers.pbt import PBT
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.spaces import LR
from trainables.data.datasets import load_dataset
from trainables.image.image_classifier import ImageClassifier
from tune_cluster.execution.launch import launch
from tune_cluster.execution.ray_tune.study import Study


def job(study: Study, *, perturbation_interval: int = 2) -> tune.Tuner:
    """Which learning rate, when?

    A population (--trials, 8 without it) trains side by side. After every interval the worst
    quarter takes over the weights of the best one, and a learning rate near to theirs. Look at
    `learning_rate` in the curves: does it rise or fall where the accuracy still grows? The schedule
    of the best weights is in best/schedule.json, and its `config` repeats their training.

    Args:
        perturbation_interval: epochs from one perturbation to the next.
    """
    flags = study.flags
    dataset = load_dataset(flags.dataset, flags.data_dir, seed=flags.seed)
    space = LR.fix(model=study.model, epochs=study.max_epochs, patience=0)
    pbt = PBT(
        space,
        perturbed=["learning_rate"],
        max_epochs=study.max_epochs,
        interval=perturbation_interval,
        seed=flags.seed,
    )
    return tune.Tuner(
        study.trainable(ImageClassifier, dataset),
        tune_config=study.tune_config(RandomSearch(space, seed=flags.seed), pbt),
        run_config=study.run_config(),
    )


if __name__ == "__main__":
    launch(job, metric="val_accuracy", mode="max")
