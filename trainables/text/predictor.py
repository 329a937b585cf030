"""A trained network on texts that have no label yet."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trainables.prediction.answers import ANSWERS_FILE
from trainables.prediction.outputs import numbers_of
from trainables.text.batching import in_order
from trainables.text.config import TextConfig
from trainables.text.models import build_model
from trainables.text.vocabulary import VOCABULARY_NAME, Preparation
from trainables.training.state import STATE_FILE, load_state, load_weights

BEST_FILE = "best.json"


class TextPredictor:
    """Predicts what the best network of a study was trained for; it needs no training data.

    >>> predict = TextPredictor("results/reviews/best")  # doctest: +SKIP
    >>> predict(["a fine film"])  # doctest: +SKIP
    array([[0.03, 0.97]])

    Args:
        folder: a study's `best` folder. The networks of several folds form an ensemble.

    Raises:
        ValueError: it is not the folder of a network on texts.
    """

    class_names: tuple[str, ...]
    """Name of each class; empty where numbers are predicted."""

    def __init__(self, folder: Path | str) -> None:
        folder = Path(folder)
        try:
            config: dict[str, Any] = json.loads((folder / BEST_FILE).read_bytes())["config"]
            answers: dict[str, Any] = json.loads((folder / ANSWERS_FILE).read_bytes())
            state = load_state(folder / STATE_FILE)
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(f"{folder}: give a study's best folder ({error})") from None
        self.class_names = tuple(answers["class_names"])
        self._config = TextConfig.from_dict(config)
        self._spreads = answers["numbers"]
        self._networks = []
        for network in state.networks:
            weights = {**network.model, **network.average}
            preparation = Preparation.from_stored(weights[VOCABULARY_NAME])
            model = build_model(self._config, preparation, len(self.class_names) or 1)
            load_weights(model, weights)
            self._networks.append((preparation, model.eval()))

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the probability of each class, `[n, classes]`, or the numbers of texts, `[n]`."""
        found = []
        for preparation, model in self._networks:
            ids, _ = preparation.rows_of(texts)
            with torch.inference_mode():
                found.append(in_order(model, torch.from_numpy(ids)))
        if self.class_names:
            each = [outputs.double().softmax(dim=1) for outputs in found]
        else:
            each = [
                numbers_of(outputs, self._config.loss, mean, deviation)
                for (mean, deviation), outputs in zip(self._spreads, found, strict=True)
            ]
        mean: NDArray[np.float64] = torch.stack(each).mean(dim=0).numpy()
        return mean
