"""Where in a new space is it worth looking? Evenly spread points over all of it, stopped by ASHA.

The recommended first study of a space: Sobol points leave no gap in any hyperparameter. Look at
`trials.csv`, sorted by accuracy: where the best tenth crowds at the end of a range, widen it; a
hyperparameter whose best values are all over its range can be fixed. The next study, by TPE, can
start from this one with `--warm-start`.
"""

from ray import tune

from search_spaces.schedulers.asha import ASHA
from search_spaces.schedulers.rungs import RungRule
from search_spaces.searchers.sobol_search import SobolSearch
from search_spaces.spaces import TRAINING
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
) -> tune.Tuner:
    """Where in a new space is it worth looking?

    Args:
        grace_period: epochs before a trial can be stopped.
        rung_rule: who goes on: the best third, from its checkpoint as soon as it is (promotion), or
            at once or never (top), or by Ray Tune's own rule (ray).
        audit: share of the trials that are finished later, as controls, if a rung stops them; the
            study then says what the stopping has cost. 0.05 is a fair start.
    """
    flags = study.flags
    dataset = load_dataset(flags.dataset, flags.data_dir, seed=flags.seed)
    space = TRAINING.fix(epochs=study.max_epochs, patience=0)
    asha = ASHA(
        max_epochs=study.max_epochs,
        grace_period=grace_period,
        rung_rule=rung_rule,
        audit=audit,
        seed=flags.seed,
    )
    return tune.Tuner(
        study.trainable(ImageClassifier, dataset),
        tune_config=study.tune_config(SobolSearch(space, seed=flags.seed), asha),
        run_config=study.run_config(),
    )


if __name__ == "__main__":
    launch(job, metric="val_accuracy", mode="max")
