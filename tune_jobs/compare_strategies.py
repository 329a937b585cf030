"""Which strategy finds a good configuration in the fewest epochs? Each searches the same space,
with the same trainable and budget, over several seeds.

See the plot (`comparison.png`): at your budget the strategy with the highest curve is the best
choice. If the bands of the seeds overlap, the difference may be chance: raise `--seeds`.
"""

from collections.abc import Callable
from typing import Literal, TypeAlias

from search_spaces.knobs import Knobs
from search_spaces.schedulers.asha import ASHA
from search_spaces.searchers.base import StudySearcher
from search_spaces.searchers.gp_search import GPSearch
from search_spaces.searchers.optuna_search import OptunaSearch
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.searchers.sobol_search import SobolSearch
from search_spaces.searchers.tpe_search import TPESearch
from search_spaces.spaces import TRAINING, for_targets
from trainables.image.image_classifier import ImageClassifier
from trainables.image.options import DataFlags
from trainables.prediction.metric_flags import MetricFlags
from tune_cluster import Options, TuneConfig, Tuner
from tune_cluster.execution.compare import compare

SEARCHERS: dict[str, Callable[..., StudySearcher]] = {
    "random": RandomSearch,
    "sobol": SobolSearch,
    "tpe": TPESearch,
    "optuna": OptunaSearch,
    "gp": GPSearch,
    "asha": RandomSearch,
    "tpe_asha": TPESearch,
    "optuna_asha": OptunaSearch,
    "gp_asha": GPSearch,
}


Strategy: TypeAlias = Literal[
    "random", "sobol", "tpe", "optuna", "gp", "asha", "tpe_asha", "optuna_asha", "gp_asha"
]


def job(
    options: Options,
    *,
    images: DataFlags,
    knobs: Knobs,
    scoring: MetricFlags,
    strategy: Literal["all"] | Strategy = "all",
    seeds: int = 3,
) -> Tuner:
    """Which strategy finds a good configuration in the fewest epochs?

    The batch size is searched, or the same for all by `--fix batch_size=64`. There is no
    `--batch-size`: each study would measure `auto` anew, and the strategies search other spaces.

    Args:
        strategy: a single strategy to run as a study, or all to compare them.
        seeds: number of studies of each strategy.
    """
    # All seeds use the same split of the data.
    dataset = images.load(seed=0, smoke_test=options.smoke_test, train_ratio=knobs.train_ratio())
    goal = scoring.goal(dataset.search)
    space = for_targets(TRAINING, dataset.search.classes).fix(patience=0)
    space = knobs.apply(space, epochs=options.epochs, **goal.config)
    return Tuner(
        ImageClassifier,
        tune_config=TuneConfig(
            metric=goal.metric,
            mode=goal.mode,
            search_alg=SEARCHERS[strategy](
                space, seed=options.seed, start_points=options.start_points
            ),
            scheduler=ASHA(max_epochs=options.epochs) if strategy.endswith("asha") else None,
        ),
        dataset=dataset,
    )


if __name__ == "__main__":
    compare(job, list(SEARCHERS), epoch_budget=540)
