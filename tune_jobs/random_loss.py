"""What should be minimised? Random points over losses, class weights and label smoothing.

They are compared by validation accuracy, not by their own values, which do not compare. Look at
loss/validation beside it: a loss can win on accuracy and tell worse probabilities (the margin loss
tells none).
"""

from search_spaces.searchers.random_search import RandomSearch
from search_spaces.spaces import LOSS
from trainables.image.image_classifier import ImageClassifier
from trainables.image.options import DEFAULT_MODEL, ImageFlags
from tune_cluster import Options, TuneConfig, Tuner, main


def job(options: Options, *, images: ImageFlags) -> Tuner:
    """What should be minimised?"""
    dataset = images.load(seed=options.seed, smoke_test=options.smoke_test)
    space = LOSS.fix(model=images.model or DEFAULT_MODEL, epochs=options.epochs, patience=0)
    return Tuner(
        ImageClassifier,
        tune_config=TuneConfig(
            metric="val_accuracy",
            mode="max",
            search_alg=RandomSearch(space, seed=options.seed, start_points=options.start_points),
        ),
        dataset=dataset,
    )


if __name__ == "__main__":
    main(job)
