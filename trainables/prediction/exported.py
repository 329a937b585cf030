"""An exported network: its description, its weights, and what it predicts."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trainables.prediction.outputs import log_probabilities, mean_probabilities, numbers_of
from trainables.training.arithmetic import arithmetic

CONFIG_FILE = "config.json"

TOGETHER = 1024
"""Number of samples in a forward pass."""


class Exported:
    """The folder of an export, with a network, or one for each fold.

    Args:
        folder: the folder.
    """

    def __init__(self, folder: Path) -> None:
        about: dict[str, Any] = json.loads((folder / CONFIG_FILE).read_bytes())
        self.config: Any = SimpleNamespace(**about["config"])
        """Hyperparameters."""
        self.class_names: tuple[str, ...] = tuple(about["class_names"])
        """Names of the classes; empty where numbers are predicted."""
        self.inputs: dict[str, Any] = about["inputs"]
        """How samples become inputs."""
        self.width = len(self.class_names) or 1
        """Number of outputs."""
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.weights: list[dict[str, Tensor]] = [
            torch.load(folder / name, map_location="cpu", weights_only=True)
            for name in about["weights"]
        ]
        """Weights of each network."""
        self._numbers: list[list[float]] = about["numbers"]

    def with_weights(self, model: nn.Module, weights: Mapping[str, Tensor]) -> nn.Module:
        """Return a network with these weights, on the device, to predict."""
        model.load_state_dict(weights)
        return model.to(self.device).eval()

    def outputs(self, forward: Callable[[Tensor], Tensor], inputs: Tensor) -> Tensor:
        """Return the outputs of a network for inputs `[n, …]`, float32 `[n, outputs]`."""
        with torch.inference_mode(), arithmetic(self.config.precision, self.device):
            found = [forward(some.to(self.device)) for some in inputs.split(TOGETHER)]
        return torch.cat(found).float().cpu()

    def predicted(self, outputs: Sequence[Tensor]) -> NDArray[np.float64]:
        """Return what the outputs of all networks mean together: the probability of each class,
        `[n, classes]`, or numbers in the unit of the targets, `[n]`."""
        if self.class_names:
            each = [log_probabilities(of_one) for of_one in outputs]
            found = (mean_probabilities(each) if len(each) > 1 else each[0]).double().exp()
        else:
            each = [
                numbers_of(of_one, self.config.loss, *spread)
                for of_one, spread in zip(outputs, self._numbers, strict=True)
            ]
            found = torch.stack(each).mean(dim=0)
        return found.numpy()


def print_lines(
    read: Callable[[], tuple[Sequence[dict[str, Any]], NDArray[np.float64]]],
    class_names: Callable[[], Sequence[str]],
) -> None:
    """Print a line of JSON for each sample; end with exit code 2 if one cannot be used.

    Args:
        read: returns what names each sample, such as file and row, and what is predicted for it.
        class_names: returns the names of the classes.
    """
    try:
        for line in lines(*read(), class_names()):
            print(line)
        sys.stdout.flush()
    except ModuleNotFoundError as error:
        sys.exit(_refused(f"the package {error.name} is missing; install it by pip"))
    except BrokenPipeError:
        # The reader has gone, as in `| head`; Python flushes stdout once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        sys.exit(_refused(f"{error.filename}: {error.strerror}" if error.filename else error))
    except ValueError as error:
        sys.exit(_refused(error))


def lines(
    names: Sequence[dict[str, Any]], predicted: NDArray[np.float64], class_names: Sequence[str]
) -> Iterator[str]:
    """Yield a line of JSON for each sample: its name, then `class` and `probabilities`, or
    `value`."""
    for name, one in zip(names, predicted, strict=True):
        answer: dict[str, Any]
        if class_names:
            answer = {
                "class": class_names[int(one.argmax())],
                "probabilities": dict(zip(class_names, one.tolist(), strict=True)),
            }
        else:
            answer = {"value": float(one)}
        yield json.dumps({**name, **answer}, ensure_ascii=False)


def _refused(error: object) -> int:
    print("error:", " ".join(str(error).split()), file=sys.stderr)
    return 2
