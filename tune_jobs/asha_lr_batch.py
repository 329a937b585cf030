"""Which learning rate suits which batch size? Random search with ASHA, on an image classifier."""

from search_spaces.schedulers.asha import ASHA
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.spaces import LR_BATCH
from trainables.image.image_classifier import ImageClassifier
from trainables.image.options import DEFAULT_MODEL, ImageFlags
from tune_cluster import Options, TuneConfig, Tuner, main


def job(options: Options, *, images: ImageFlags, asha: ASHA.Flags) -> Tuner:
    """Which learning rate suits which batch size?

    Random points of the space, stopped early by ASHA: after 1, 3, 9, ... epochs the best third of
    the trials so far continues.
    """
    dataset = images.load(seed=options.seed, smoke_test=options.smoke_test)
    space = LR_BATCH.fix(model=images.model or DEFAULT_MODEL, epochs=options.epochs, patience=0)
    return Tuner(
        ImageClassifier,
        tune_config=TuneConfig(
            metric="val_accuracy",
            mode="max",
            search_alg=RandomSearch(
                space,
                seed=options.seed,
                start_points=options.start_points,
                around_defaults=options.defaults,
            ),
            scheduler=asha.scheduler(max_epochs=options.epochs, seed=options.seed),
        ),
        dataset=dataset,
    )


if __name__ == "__main__":
    main(job)
