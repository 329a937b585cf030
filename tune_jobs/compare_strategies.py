"""Which strategy finds a good configuration for the fewest epochs? The same space, trainable and
budget under each of them, over several seeds.

Look at the picture (`comparison.png`): the curve that is higher at the budget that you have is the
strategy to take. Where the bands of the seeds overlap, the difference is luck: more `--seeds`.
"""

from typing import Literal

from ray import tune

from search_spaces.schedulers.asha import ASHA
from search_spaces.searchers.optuna_search import OptunaSearch
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.searchers.sobol_search import SobolSearch
from search_spaces.searchers.tpe_search import TPESearch
from search_spaces.spaces import TRAINING
from trainables.data.datasets import load_dataset
from trainables.image.image_classifier import ImageClassifier
from tune_cluster.execution.compare import compare
from tune_cluster.execution.ray_tune.study import Study

SEARCHERS = {
    "random": RandomSearch,
    "sobol": SobolSearch,
    "tpe": TPESearch,
    "optuna": OptunaSearch,
    "asha": RandomSearch,
    "tpe_asha": TPESearch,
    "optuna_asha": OptunaSearch,
}


def job(
    study: Study,
    *,
    strategy: Literal[
        "all", "random", "sobol", "tpe", "optuna", "asha", "tpe_asha", "optuna_asha"
    ] = "all",
    seeds: int = 3,
) -> tune.Tuner:
    """Which strategy finds a good configuration for the fewest epochs?

    Args:
        strategy: one of them alone, as a study; all of them are compared.
        seeds: studies of each strategy.
    """
    flags = study.flags
    dataset = load_dataset(flags.dataset, flags.data_dir, seed=0)
    space = TRAINING.fix(epochs=study.max_epochs, patience=0)
    searcher = SEARCHERS[strategy](space, seed=flags.seed)
    asha = ASHA(max_epochs=study.max_epochs) if strategy.endswith("asha") else None
    return tune.Tuner(
        study.trainable(ImageClassifier, dataset),
        tune_config=study.tune_config(searcher, asha),
        run_config=study.run_config(),
    )


if __name__ == "__main__":
    compare(job, list(SEARCHERS), metric="val_accuracy", mode="max", epoch_budget=540)
