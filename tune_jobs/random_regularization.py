"""How much regularization, and which? Random points over dropout, decay, smoothing, augmentation.

No trial is stopped early: what regularizes learns more slowly at first, and a rung would take it
for worse. Look at the gap between accuracy/train and accuracy/validation in TensorBoard, and at the
loss on the validation set, which label smoothing changes more than the accuracy.
"""

from ray import tune

from search_spaces.searchers.random_search import RandomSearch
from search_spaces.spaces import REGULARIZATION
from trainables.data.datasets import load_dataset
from trainables.image.image_classifier import ImageClassifier
from tune_cluster.execution.launch import launch
from tune_cluster.execution.ray_tune.study import Study


def job(study: Study) -> tune.Tuner:
    """How much regularization, and which?"""
    flags = study.flags
    dataset = load_dataset(flags.dataset, flags.data_dir, seed=flags.seed)
    space = REGULARIZATION.fix(
        model=study.model, epochs=study.max_epochs, patience=0, learning_rate=0.05
    )
    return tune.Tuner(
        study.trainable(ImageClassifier, dataset),
        tune_config=study.tune_config(RandomSearch(space, seed=flags.seed)),
        run_config=study.run_config(),
    )


if __name__ == "__main__":
    launch(job, metric="val_accuracy", mode="max")
