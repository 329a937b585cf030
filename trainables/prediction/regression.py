"""Numbers: losses on standardised targets, and scores in the targets' own unit."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from trainables.prediction.config import PredictionConfig
from trainables.prediction.outputs import in_unit, numbers_of, spread_of

SCORES = ("loss", "rmse", "mae", "r2", "mape")
"""Names in the result of `Numbers.scores`."""


def regression_scores(predicted: Tensor, targets: Tensor) -> dict[str, float]:
    """Return the scores of predicted numbers.

    Args:
        predicted: `[n]`, in the targets' unit.
        targets: `[n]`.

    Returns:
        `rmse`, the root of the mean squared error, and `mae`, the mean absolute error, in the
        targets' unit; `r2`, one minus the squared error over that of the mean of these targets, 0
        where they are all equal and the prediction is not; `mape`, the mean of the absolute error
        over the absolute target, a ratio. All as scikit-learn defines them.
    """
    error = predicted.double() - targets.double()
    squared, absolute = (error**2).mean(), error.abs()
    spread = targets.double().var(correction=0)
    r2 = 1 - squared / spread if spread > 0 else (squared == 0).double()
    smallest = torch.finfo(torch.float64).eps
    return {
        "rmse": float(squared.sqrt()),
        "mae": float(absolute.mean()),
        "r2": float(r2),
        "mape": float((absolute / targets.double().abs().clamp(min=smallest)).mean()),
    }


class Numbers:
    """Prediction of a number: a `Prediction` of the training loop.

    The network learns standardised targets (mean 0, standard deviation 1 over the training
    samples), so that a learning rate suits targets of any unit; scores are in their own unit.

    - squared_error: mean squared error.
    - absolute_error: mean absolute error; large errors of a few samples count less.
    - huber: squared up to `huber_delta`, then linear (Huber 1964).
    - log_loss: binary cross entropy in nats, for targets from 0 to 1, which are not standardised.

    Args:
        config: hyperparameters of the objective, with a loss of numbers.
        numbers: target of each training sample, float64 `[n]`.
    """

    width = 1

    def __init__(self, config: PredictionConfig, numbers: Tensor) -> None:
        self._kind, self._delta = config.loss, config.huber_delta
        self._centre, self._scale = 0.0, 1.0
        if config.loss != "log_loss":
            self._centre, self._scale = spread_of(numbers)
        more = () if self._kind in ("squared_error", "log_loss") else ("objective",)
        self.score_names: tuple[str, ...] = (*SCORES, *more)

    def targets(self, numbers: Tensor) -> Tensor:
        """Return the targets that the network learns, float32 `[n]`."""
        return ((numbers - self._centre) / self._scale).float()

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the objective of outputs `[batch, 1]` and learned targets `[batch]`."""
        numbers = outputs.squeeze(1)
        match self._kind:
            case "absolute_error":
                return F.l1_loss(numbers, targets)
            case "huber":
                return F.huber_loss(numbers, targets, delta=self._delta)
        return self._plain(outputs, targets)

    def weight(self, targets: Tensor) -> Tensor | int:
        """Return the divisor of the mean of `loss` over these samples: their number."""
        return len(targets)

    def train_scores(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """Return the root of the mean squared error on the training samples, in the targets'
        unit."""
        error = self.predicted(outputs) - self._unit(targets)
        return {"rmse": float((error**2).mean().sqrt())}

    def scores(self, outputs: Tensor, targets: Tensor) -> dict[str, float]:
        """Return `loss`, the mean squared error of standardised targets or the log loss, the scores
        of `regression_scores`, and `objective` if another loss is minimised."""
        found = {"loss": float(self._plain(outputs, targets))}
        found |= regression_scores(self.predicted(outputs), self._unit(targets))
        if "objective" in self.score_names:
            found["objective"] = float(self.loss(outputs, targets))
        return found

    def predicted(self, outputs: Tensor) -> Tensor:
        """Return numbers in the targets' unit, float64 `[n]`."""
        return numbers_of(outputs, self._kind, self._centre, self._scale)

    def outputs_of(self, predicted: Tensor) -> Tensor:
        """Return outputs `[n, 1]` that predict these numbers."""
        if self._kind == "log_loss":
            return predicted.logit().float().unsqueeze(1)
        return self.targets(predicted).unsqueeze(1)

    def mean(self, predicted: Sequence[Tensor]) -> Tensor:
        """Return the mean of the numbers of several networks."""
        return torch.stack(tuple(predicted)).mean(dim=0)

    def _unit(self, standardised: Tensor) -> Tensor:
        """Return standardised numbers in the targets' unit."""
        return in_unit(standardised, self._centre, self._scale)

    def _plain(self, outputs: Tensor, targets: Tensor) -> Tensor:
        numbers = outputs.squeeze(1)
        if self._kind == "log_loss":
            return F.binary_cross_entropy_with_logits(numbers, targets)
        return F.mse_loss(numbers, targets)
