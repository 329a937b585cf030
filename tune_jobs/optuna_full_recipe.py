"""The whole recipe at once? Optuna's TPE over all hyperparameters, conditional, stopped by ASHA.

The last study, not the first: give it what is known (`--fix schedule=cosine`, `--warm-start`), and
fix next time what its best ten agree in. Schedules look worse at a rung than at their end.
"""

from pathlib import Path

from ray import tune

from search_spaces.schedulers.asha import ASHA
from search_spaces.schedulers.rungs import RungRule
from search_spaces.searchers.optuna_search import OptunaSearch
from search_spaces.space import told
from search_spaces.spaces import FULL_RECIPE, within
from trainables.data.datasets import load_dataset
from trainables.image.image_classifier import ImageClassifier
from tune_cluster.execution.launch import launch
from tune_cluster.execution.ray_tune.study import Study


def job(
    study: Study,
    *,
    fix: tuple[str, ...] = (),
    train_ratio: float = 0.8,
    grace_period: int = 1,
    rung_rule: RungRule = "promotion",
    audit: float = 0.0,
    warm_start: Path | None = None,
) -> tune.Tuner:
    """The whole recipe at once?

    Args:
        fix: what is known, as name=value, of any hyperparameter without a flag of its own.
        train_ratio: share of the training images that is trained on; the rest validates.
        grace_period: epochs before a trial can be stopped; covers the warm-up.
        rung_rule: who goes on: the best third, from its checkpoint as soon as it is (promotion), or
            at once or never (top), or by Ray Tune's own rule (ray).
        audit: share of the stopped trials that are finished later, as controls; 0.05 is a start.
        warm_start: an earlier study, whose trials the searcher is told first.
    """
    flags = study.flags
    dataset = load_dataset(flags.dataset, flags.data_dir, seed=flags.seed, train_ratio=train_ratio)
    space = within(FULL_RECIPE, study.max_epochs)
    if flags.model is not None:
        space = space.fix(model=flags.model)
    space = space.fix(epochs=study.max_epochs, train_ratio=train_ratio, **told(fix))
    strategy = OptunaSearch(space, seed=flags.seed, start_points=[{}])
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
