"""Which network? TPE over MLPs, convolutional and residual networks, stopped early by ASHA.

Look at seconds as well as at epochs: rungs compare networks after equal epochs, and one of the
convolutional ones takes as long for an epoch as thirty of the MLP's.
"""

from pathlib import Path

from ray import tune

from search_spaces.schedulers.asha import ASHA
from search_spaces.schedulers.rungs import RungRule
from search_spaces.searchers.tpe_search import TPESearch
from search_spaces.spaces import ARCHITECTURE
from trainables.data.datasets import load_dataset
from trainables.image.image_classifier import ImageClassifier
from tune_cluster.execution.launch import launch
from tune_cluster.execution.ray_tune.study import Study


def job(
    study: Study,
    *,
    grace_period: int = 1,
    rung_rule: RungRule = "promotion",
    audit: float = 0.0,
    warm_start: Path | None = None,
) -> tune.Tuner:
    """Which network?

    Args:
        grace_period: epochs before a trial can be stopped.
        rung_rule: who goes on: the best third, from its checkpoint as soon as it is (promotion), or
            at once or never (top), or by Ray Tune's own rule (ray).
        audit: share of the trials that are finished later, as controls, if a rung stops them; the
            study then says what the stopping has cost. 0.05 is a fair start.
        warm_start: an earlier study, whose trials the searcher is told first.
    """
    flags = study.flags
    dataset = load_dataset(flags.dataset, flags.data_dir, seed=flags.seed)
    space = ARCHITECTURE.fix(epochs=study.max_epochs, patience=0)
    if flags.model is not None:
        space = space.fix(model=flags.model)
    strategy = TPESearch(space, seed=flags.seed, start_points=[{}])
    asha = ASHA(
        max_epochs=study.max_epochs,
        grace_period=grace_period,
        rung_rule=rung_rule,
        audit=audit,
        seed=flags.seed,
    )
    return tune.Tuner(
        study.trainable(ImageClassifier, dataset),
        tune_config=study.tune_config(strategy, asha, warm_start=warm_start),
        run_config=study.run_config(),
    )


if __name__ == "__main__":
    launch(job, metric="val_accuracy", mode="max")
