"""Which arguments of a training script are best? The script reports its metrics by `tune_cluster`:

    tune-cluster run train.py --search lr=log:0.01:10 --metric val_loss -- --epochs 14

See the curves in TensorBoard: they end one after the other at the rungs. If the best trials are at
an end of a range, search a wider one.
"""

import shlex
from typing import Literal

from search_spaces.schedulers.asha import ASHA
from search_spaces.search_flag import space_of
from search_spaces.searchers.auto_search import LearningFlags
from tune_cluster import Options, RunConfig, TuneConfig, Tuner, main
from tune_cluster.execution.ray_tune.script import script_trainable
from tune_cluster.execution.script_arguments import asked, with_defaults


def job(
    options: Options,
    *,
    asha: ASHA.Flags,
    learning: LearningFlags,
    script: str = "",
    search: tuple[str, ...] = (),
    metric: str = "",
    mode: Literal["min", "max"] = "min",
    arguments: str = "",
) -> Tuner:
    """Which arguments of a training script are best?

    Args:
        script: script that trains, and calls tune_cluster.arguments, epochs and report.
        search: searched values, such as lr=log:1e-4:1e-1 layers=int:1:6 batch-size=32,64
            optimizer=sgd,adam "momentum=0.5:0.99 if optimizer=sgd".
        metric: name of a reported metric, by which trials are compared.
        mode: whether its lowest or its highest value is the best.
        arguments: other arguments of the script, such as "--epochs 14".
    """
    if not script or not metric:
        raise ValueError("give --script FILE and --metric NAME, that of a metric it reports")
    space = space_of(search)
    words = shlex.split(arguments)
    found = asked(script, words, space)
    epochs = options.max_epochs or found.epochs or options.epochs
    space = with_defaults(space, found.defaults)
    return Tuner(
        script_trainable(script, words, saves=found.saves),
        tune_config=TuneConfig(
            metric=metric,
            mode=mode,
            search_alg=learning.search(space, seed=options.seed, start_points=options.start_points),
            scheduler=asha.scheduler(max_epochs=epochs, seed=options.seed),
            reuse_actors=True,
        ),
        run_config=RunConfig(stop={"training_iteration": epochs}),
    )


if __name__ == "__main__":
    main(job)
