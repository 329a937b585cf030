"""Which learning rate, when? Population based training of an image classifier."""

from search_spaces.schedulers.pbt import PBT
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.spaces import LR
from trainables.image.image_classifier import ImageClassifier
from trainables.image.options import DEFAULT_MODEL, ImageFlags
from tune_cluster import Options, TuneConfig, Tuner, main


def job(options: Options, *, images: ImageFlags, perturbation_interval: int = 2) -> Tuner:
    """Which learning rate, when?

    A population (--trials, 8 without it) trains side by side. After every interval the worst
    quarter takes over the weights of the best one, and a learning rate near to theirs. Look at
    `learning_rate` in the curves: does it rise or fall where the accuracy still grows? The schedule
    of the best weights is in best/schedule.json, and its `config` repeats their training.

    Args:
        perturbation_interval: epochs from one perturbation to the next.
    """
    dataset = images.load(seed=options.seed, smoke_test=options.smoke_test)
    space = LR.fix(model=images.model or DEFAULT_MODEL, epochs=options.epochs, patience=0)
    pbt = PBT(
        space,
        perturbed=["learning_rate"],
        max_epochs=options.epochs,
        interval=perturbation_interval,
        seed=options.seed,
    )
    return Tuner(
        ImageClassifier,
        tune_config=TuneConfig(
            metric="val_accuracy",
            mode="max",
            search_alg=RandomSearch(space, seed=options.seed, start_points=options.start_points),
            scheduler=pbt,
        ),
        dataset=dataset,
    )


if __name__ == "__main__":
    main(job)
