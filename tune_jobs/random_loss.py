"""What should be minimised? Random points over losses, class weights and label smoothing.

They are compared by validation accuracy, not by their own values, which do not compare. Look at
loss/validation beside it: a loss can win on accuracy and tell worse probabilities (the margin loss
tells none).
"""

from ray import tune

from search_spaces.searchers.random_search import RandomSearch
from search_spaces.spaces import LOSS
from trainables.data.datasets import load_dataset
from trainables.image.image_classifier import ImageClassifier
from tune_cluster.execution.launch import launch
from tune_cluster.execution.ray_tune.study import Study


def job(study: Study) -> tune.Tuner:
    """What should be minimised?"""
    flags = study.flags
    dataset = load_dataset(flags.dataset, flags.data_dir, seed=flags.seed)
    space = LOSS.fix(model=study.model, epochs=study.max_epochs, patience=0)
    return tune.Tuner(
        study.trainable(ImageClassifier, dataset),
        tune_config=study.tune_config(RandomSearch(space, seed=flags.seed)),
        run_config=study.run_config(),
    )


if __name__ == "__main__":
    launch(job, metric="val_accuracy", mode="max")
