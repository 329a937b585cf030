"""LightGBM: report the metrics of the boosting rounds, save and resume.

    callback = TuneCallback()
    lgb.train(params, train, num_boost_round=callback.rounds(200), valid_sets=[val],
              callbacks=[callback], init_model=callback.model)

The best checkpoint of the study is `best/model.txt`, for `Booster(model_file=…)`.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from lightgbm import Booster
from lightgbm.callback import CallbackEnv

from tune_cluster.integrations.boosting import Boosting

MODEL_FILE = "model.txt"


class TuneCallback(Boosting[Booster]):
    """Reports the metrics that LightGBM evaluates, such as `valid_0-binary_logloss`.

    Args:
        every: number of rounds between two reports, each with a checkpoint; 1 or more.

    Raises:
        ValueError: `every` is below 1.
    """

    order = 25
    """Position before LightGBM's own early stopping (30), which ends a training by an exception."""

    def __init__(self, every: int = 1) -> None:
        super().__init__(every, _load, Booster.current_iteration)

    def __call__(self, env: CallbackEnv) -> None:
        """Report a round.

        Raises:
            ValueError: the training has restarted instead of resuming from the checkpoint.
        """
        found = env.evaluation_result_list or []
        metrics = {f"{data}-{name}": value for data, name, value, *_ in found}
        self.report(env.iteration + 1, metrics, partial(_save, env.model))


def _load(folder: Path) -> Booster:
    return Booster(model_file=folder / MODEL_FILE)


def _save(model: Booster, folder: str) -> None:
    model.save_model(Path(folder, MODEL_FILE))
