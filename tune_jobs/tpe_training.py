"""How is the MLP trained best? TPE over a conditional space of ten hyperparameters.

The first trial has the catalogue's defaults, the next are Sobol points, and from then on HyperOpt's
TPE (`--searcher optuna`: Optuna's) proposes what looks like the best trials so far. Look at when
the new bests come: none any more, and the study can end (`--study-patience 20`); still more, and it
can grow (`--resume STUDY --trials 128`).
"""

from pathlib import Path
from typing import Literal

from ray import tune

from search_spaces.searchers.optuna_search import OptunaSearch
from search_spaces.searchers.tpe_search import TPESearch
from search_spaces.spaces import TRAINING
from trainables.data.datasets import load_dataset
from trainables.image.image_classifier import ImageClassifier
from tune_cluster.execution.launch import launch
from tune_cluster.execution.ray_tune.study import Study


def job(
    study: Study,
    *,
    searcher: Literal["tpe", "optuna"] = "tpe",
    warm_start: Path | None = None,
) -> tune.Tuner:
    """How is the MLP trained best?

    Args:
        searcher: HyperOpt's TPE, or Optuna's, which models hyperparameters together.
        warm_start: an earlier study, whose trials the searcher is told first.
    """
    flags = study.flags
    dataset = load_dataset(flags.dataset, flags.data_dir, seed=flags.seed)
    space = TRAINING.fix(epochs=study.max_epochs, patience=0)
    chosen = TPESearch if searcher == "tpe" else OptunaSearch
    strategy = chosen(space, seed=flags.seed, start_points=[{}])
    return tune.Tuner(
        study.trainable(ImageClassifier, dataset),
        tune_config=study.tune_config(strategy, warm_start=warm_start),
        run_config=study.run_config(),
    )


if __name__ == "__main__":
    launch(job, metric="val_accuracy", mode="max")
