"""Which loss should be minimised? Random search over losses, class weights and label smoothing.

Trials are compared by validation accuracy, since values of different losses are not comparable. See
loss/validation too: a loss can win on accuracy and give worse probabilities (the margin loss gives
none).
"""

from search_spaces.searchers.random_search import RandomSearch
from search_spaces.spaces import LOSS
from trainables.image.image_classifier import ImageClassifier
from trainables.image.options import DEFAULT_MODEL, ImageFlags
from tune_cluster import Options, TuneConfig, Tuner, main


def job(options: Options, *, images: ImageFlags) -> Tuner:
    """Which loss should be minimised?"""
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
