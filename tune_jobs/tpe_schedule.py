"""How should the learning rate change? TPE over schedules, each with its own parameters.

No trial is stopped early: a schedule pays at its end, and a rung would take the one that has cooled
down first for the best. Look at the best of each schedule, and at what it gains over `constant`,
for which warm-up and ending are there too: often they are all that was missing.
"""

from pathlib import Path

from ray import tune

from search_spaces.searchers.tpe_search import TPESearch
from search_spaces.spaces import SCHEDULE, within
from trainables.data.datasets import load_dataset
from trainables.image.image_classifier import ImageClassifier
from tune_cluster.execution.launch import launch
from tune_cluster.execution.ray_tune.study import Study


def job(study: Study, *, warm_start: Path | None = None) -> tune.Tuner:
    """How should the learning rate change?

    Args:
        warm_start: an earlier study, whose trials the searcher is told first.
    """
    flags = study.flags
    dataset = load_dataset(flags.dataset, flags.data_dir, seed=flags.seed)
    space = within(SCHEDULE, study.max_epochs)
    space = space.fix(model=study.model, epochs=study.max_epochs, patience=0)
    strategy = TPESearch(space, seed=flags.seed, start_points=[{}])
    return tune.Tuner(
        study.trainable(ImageClassifier, dataset),
        tune_config=study.tune_config(strategy, warm_start=warm_start),
        run_config=study.run_config(),
    )


if __name__ == "__main__":
    launch(job, metric="val_accuracy", mode="max")
