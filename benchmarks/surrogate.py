"""LCBench as YAHPO Gym's surrogate: learning curves of 34 OpenML tasks, over 52 epochs and 7
hyperparameters (Zimmer et al. 2021, *Auto-PyTorch Tabular*; Pfisterer et al. 2022, *YAHPO Gym*).

It is a smooth model that was fitted to real curves, not the curves themselves. Its data (2 MB)
is not in this repository: the folder `lcbench` of slds-lmu/yahpo_data on GitHub, Apache-2.0, commit
efdab907; `model.onnx`, `encoding.json` and `config_space.json` are read.
"""

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from replay import Curve

from search_spaces.catalogue import DROPOUT, LEARNING_RATE, MOMENTUM
from search_spaces.hyperparameter import Hyperparameter
from search_spaces.space import Space

EPOCHS = 52
FILES = ("model.onnx", "encoding.json", "config_space.json")
ACCURACY = 1
"""Column of the validation accuracy, in percent, among the results of the model."""
POINTS = 3_000
"""Number of fixed random configurations that define the scale of regret."""
BATCH = 10
"""Number of configurations in a call of the model: with more, memory costs more than the calls."""
NOISE = 0.5
"""Standard deviation of the noise, in points of accuracy."""


def _range(name: str, meaning: str, default: object, **rest: Any) -> Hyperparameter:
    return Hyperparameter(name=name, meaning=meaning, default=default, **rest)  # type: ignore[arg-type]


SPACE = Space(
    "lcbench",
    (
        _range("batch_size", "of SGD", 128, low=16, high=512, scale="log", integer=True),
        _range("learning_rate", "of SGD", LEARNING_RATE.default, low=1e-4, high=1e-1, scale="log"),
        _range("momentum", "of SGD", MOMENTUM.default, low=0.1, high=0.99),
        # The catalogue's default is 0, which is not in the range.
        _range("weight_decay", "L2", 1e-4, low=1e-5, high=1e-1),
        _range("num_layers", "of the MLP", 3, low=1, high=5, integer=True),
        _range("max_units", "of a layer", 256, low=64, high=1024, scale="log", integer=True),
        _range("max_dropout", "of the MLP", DROPOUT.default, low=0.0, high=1.0),
    ),
)
"""Space of LCBench, with weight decay on a linear scale; the defaults are the catalogue's, and
usual first values where it has none."""


class Scale(NamedTuple):
    """Scale of regret on a task, in percent of validation accuracy."""

    best: float
    """Accuracy of regret 0: the best of `POINTS` random points, at any epoch."""
    median: float
    """Accuracy of regret 1: the median of these points, each at its end."""

    def regret(self, accuracy: float) -> float:
        """Return the regret of an accuracy; below 0 if it is better than all of these points."""
        return (self.best - accuracy) / (self.best - self.median)


class Surrogate:
    """The model, read from its folder.

    Raises:
        ValueError: a file is missing.
    """

    def __init__(self, folder: Path) -> None:
        missing = [name for name in FILES if not (folder / name).is_file()]
        if missing:
            raise ValueError(
                f"--data {folder}: there is no {', '.join(missing)}; give the folder lcbench of "
                f"slds-lmu/yahpo_data (GitHub), which has {', '.join(FILES)}"
            )
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(folder / "model.onnx"), sess_options=options, providers=["CPUExecutionProvider"]
        )
        self._inputs = [entry.name for entry in self._session.get_inputs()]
        self._codes = json.loads((folder / "encoding.json").read_text())["OpenML_task_id"]
        space = json.loads((folder / "config_space.json").read_text())["hyperparameters"]
        (choices,) = (p["choices"] for p in space if p["name"] == "OpenML_task_id")
        self.tasks: list[str] = sorted(map(str, choices), key=int)
        """Tasks, by their number at OpenML."""
        self._known: dict[tuple[str, tuple[float, ...]], list[float]] = {}

    def curve(self, task: str, config: Mapping[str, Any]) -> list[float]:
        """Return validation accuracy in percent by epoch, `[52]`; a curve is computed once."""
        key = task, tuple(float(config[parameter.name]) for parameter in SPACE.parameters)
        if key not in self._known:
            self._known[key] = self._curves(task, np.array([key[1]]))[0].tolist()
        return self._known[key]

    def scale(self, task: str) -> Scale:
        """Return the scale of regret; takes 2 s."""
        # Other points than those of any seed of random search.
        points = np.random.default_rng(0).random((POINTS, len(SPACE.parameters)))
        configs = [SPACE.point(point.tolist()) for point in points]
        rows = np.array([[config[p.name] for p in SPACE.parameters] for config in configs])
        found = np.vstack(
            [self._curves(task, rows[at : at + BATCH]) for at in range(0, POINTS, BATCH)]
        )
        return Scale(float(found.max()), float(np.median(found[:, -1])))

    def trial(self, task: str, config: Mapping[str, Any]) -> Curve:
        """Return a trial whose epochs last a second each."""
        return Curve(self.curve(task, config), self._seconds)

    def noisy_trial(self, task: str, config: Mapping[str, Any], rng: np.random.Generator) -> Curve:
        """Return the same with noise on the reported values, drawn separately for every epoch."""
        true = self.curve(task, config)
        told = np.array(true) + rng.normal(0.0, NOISE, EPOCHS)
        return Curve(told.tolist(), self._seconds, noiseless=true)

    @cached_property
    def _seconds(self) -> list[float]:
        return [1.0] * EPOCHS

    def _curves(self, task: str, configs: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the accuracy of `[n, 7]` configurations in the order of the space: `[n, 52]`."""
        count = len(configs)
        epochs = np.tile(np.arange(1, EPOCHS + 1), count)
        rows = np.column_stack([epochs, np.repeat(configs, EPOCHS, axis=0)]).astype(np.float32)
        codes = np.full((len(rows), 1), self._codes[task], dtype=np.int32)
        (found,) = self._session.run(None, dict(zip(self._inputs, (codes, rows), strict=True)))
        return np.asarray(found[:, ACCURACY], dtype=float).reshape(count, EPOCHS)
