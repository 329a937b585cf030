"""XGBoost: report the metrics of the boosting rounds, save and resume.

    callback = TuneCallback()
    xgb.train(params, train, num_boost_round=callback.rounds(200), evals=[(val, "val")],
              callbacks=[callback], xgb_model=callback.model)

The best checkpoint of the study is `best/model.ubj`, for `Booster(model_file=…)`.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from xgboost import Booster
from xgboost.callback import TrainingCallback

from tune_cluster.integrations.boosting import Boosting

MODEL_FILE = "model.ubj"


class TuneCallback(Boosting[Booster], TrainingCallback):
    """Reports the metrics that XGBoost evaluates, such as `val-logloss` of `evals=[(val, "val")]`.

    Args:
        every: number of rounds between two reports, each with a checkpoint; 1 or more.

    Raises:
        ValueError: `every` is below 1.
    """

    def __init__(self, every: int = 1) -> None:
        super().__init__(every, _load, Booster.num_boosted_rounds)

    def after_iteration(
        self, model: Any, epoch: int, evals_log: dict[str, dict[str, list[Any]]]
    ) -> bool:
        """Report a round; return that the training continues.

        Raises:
            ValueError: the training has restarted instead of resuming from the checkpoint.
        """
        metrics = {
            f"{data}-{name}": values[-1]
            for data, found in evals_log.items()
            for name, values in found.items()
        }
        self.report(model.num_boosted_rounds(), metrics, partial(_save, model))
        return False


def _load(folder: Path) -> Booster:
    return Booster(model_file=folder / MODEL_FILE)


def _save(model: Booster, folder: str) -> None:
    model.save_model(Path(folder, MODEL_FILE))
