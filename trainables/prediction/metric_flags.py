"""The metric of a study, by which trials and their epochs are compared."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias

import numpy as np
import tyro

from trainables.data.dataset import S, SearchData
from trainables.prediction.classification import SCORES

Mode: TypeAlias = Literal["max", "min"]

CLASS_METRICS: Mapping[str, tuple[Mode, str]] = {
    "val_accuracy": ("max", "share of samples whose class is predicted"),
    "val_f1": ("max", "F1, the mean over classes"),
    "val_balanced_accuracy": ("max", "recall, the mean over the classes that occur"),
    "val_recall": ("max", "recall, the mean over classes"),
    "val_precision": ("max", "precision, the mean over classes"),
    "val_auroc": ("max", "area under the ROC curve of each class against the rest, their mean"),
    "val_average_precision": ("max", "average precision of each class, their mean"),
    "val_loss": ("min", "log loss"),
}
"""Mode and meaning of each metric of classes; the first is the default."""

NUMBER_METRICS: Mapping[str, tuple[Mode, str]] = {
    "val_rmse": ("min", "root of the mean squared error"),
    "val_mae": ("min", "mean absolute error"),
    "val_r2": ("max", "R², 1 less the squared error over that of the mean"),
    "val_mape": ("min", "mean of the absolute error over the absolute target"),
    "val_loss": ("min", "mean squared error of standardised targets, or log loss"),
}
"""The same for numbers."""


class Goal(NamedTuple):
    """Metric that a study improves, and the configuration that it needs."""

    metric: str
    mode: Mode
    config: dict[str, Any]
    """Values of the trials' configuration that the metric needs."""


@dataclass(frozen=True, kw_only=True)
class MetricFlags:
    """Command-line flag for the metric of a study."""

    metric: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """Metric on the validation set by which trials are compared, stopped at rungs, and the best
    checkpoint of each is chosen. Of classes: val_accuracy (default), val_f1, val_balanced_accuracy,
    val_recall, val_precision, val_auroc, val_average_precision, val_loss; of numbers: val_rmse
    (default), val_mae, val_r2, val_mape, val_loss. To end each trial when its loss no longer falls
    and keep the parameters of its lowest: --metric val_loss --fix patience=6."""

    def goal(self, data: SearchData[S]) -> Goal:
        """Return metric and mode for a dataset.

        Raises:
            ValueError: the metric is unknown for the dataset's targets, or undefined for its
                validation set.
        """
        known = CLASS_METRICS if data.classes else NUMBER_METRICS
        metric = next(iter(known)) if self.metric is None else self.metric
        if metric not in known:
            close = [f"val_{metric}"] if f"val_{metric}" in known else []
            close = close or difflib.get_close_matches(metric, known, n=1)
            hint = f" (did you mean {close[0]}?)" if close else ""
            listed = ", ".join(f"{name} ({meaning})" for name, (_, meaning) in known.items())
            kind = "classes" if data.classes else "numbers"
            raise ValueError(f"--metric {metric}: unknown{hint}; the metrics of {kind}: {listed}")
        score = metric.removeprefix("val_")
        more = (score,) if data.classes and score not in SCORES else ()
        if score == "auroc" and len(np.unique(data.validation.targets)) < 2:
            raise ValueError(
                f"--metric {metric}: the validation set of {data.name} has samples of one class "
                "alone: give another metric, or more samples"
            )
        return Goal(metric, known[metric][0], {"more_scores": more} if more else {})
