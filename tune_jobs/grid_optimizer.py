"""Which optimizer, at which learning rate? A grid over both, every trial to its end.

Look at the best learning rate of each optimizer in the table (`trials.csv`): where it is the first
or last of its grid, the grid is too narrow, and the optimizers have not been compared.
"""

from ray import tune

from search_spaces.searchers.grid_search import LIMIT, GridSearch
from search_spaces.spaces import OPTIMIZER
from trainables.data.datasets import load_dataset
from trainables.image.image_classifier import ImageClassifier
from tune_cluster.execution.launch import launch
from tune_cluster.execution.ray_tune.study import Study


def job(study: Study, *, grid_points: int | None = None) -> tune.Tuner:
    """Which optimizer, at which learning rate?

    Args:
        grid_points: values of each range, evenly on its scale; without it the catalogue's.
    """
    flags = study.flags
    dataset = load_dataset(flags.dataset, flags.data_dir, seed=flags.seed)
    space = OPTIMIZER.fix(model=study.model, epochs=study.max_epochs, patience=0)
    limit = float("inf") if flags.yes or study.events else LIMIT
    return tune.Tuner(
        study.trainable(ImageClassifier, dataset),
        tune_config=study.tune_config(GridSearch(space, grid_points=grid_points, limit=limit)),
        run_config=study.run_config(),
    )


if __name__ == "__main__":
    launch(job, metric="val_accuracy", mode="max")
