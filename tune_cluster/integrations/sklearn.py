"""scikit-learn: save and resume an estimator that is trained in steps.

    model = SGDClassifier(alpha=args.alpha)
    for epoch in tc.epochs(args.epochs, model=Estimator(model)):
        model.partial_fit(inputs, labels, classes=classes)
        tc.report(val_accuracy=model.score(val_inputs, val_labels))

The same works for those with `warm_start=True`, with `n_estimators=10 * epoch` before each `fit`.
The best checkpoint of the study is `best/state.pt`, for `load_best`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from sklearn.base import BaseEstimator

from search_spaces import needs_extra
from tune_cluster.trial.script_trial import STATE_FILE

KEY = "skops"


class Estimator:
    """An estimator as saved by `tune_cluster.epochs`: completely, in the format of skops, which
    runs no code when it is loaded.

    Args:
        model: an estimator of scikit-learn, or a pipeline of them.

    Raises:
        ValueError: skops is not installed.
    """

    def __init__(self, model: BaseEstimator) -> None:
        self._skops = _skops()
        self._model = model

    def state_dict(self) -> dict[str, Any]:
        """Return the estimator as a tensor of bytes.

        Raises:
            ValueError: it has parts from outside of scikit-learn.
        """
        written = self._skops.dumps(self._model)
        _trusted(written)
        return {KEY: torch.frombuffer(bytearray(written), dtype=torch.uint8)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the estimator from its saved state."""
        loaded = _loaded(state[KEY])
        vars(self._model).clear()
        vars(self._model).update(vars(loaded))


def load_best(folder: str | Path, name: str = "model") -> Any:
    """Return the estimator of a checkpoint.

    Args:
        folder: folder of the checkpoint, such as `results/<study>/best`.
        name: name under which it was passed to `tune_cluster.epochs`.

    Raises:
        ValueError: it has parts from outside of scikit-learn, or skops is not installed.
    """
    state = torch.load(Path(folder, STATE_FILE), weights_only=True)
    return _loaded(state["objects"][name][KEY])


def _loaded(written: torch.Tensor) -> Any:
    data = written.numpy().tobytes()
    return _skops().loads(data, trusted=_trusted(data))


def _trusted(data: bytes) -> list[str]:
    """Return the types that skops must trust: those of scikit-learn.

    Raises:
        ValueError: there are others.
    """
    unknown: list[str] = _skops().get_untrusted_types(data=data)
    others = [name for name in unknown if not name.startswith("sklearn.")]
    if others:
        raise ValueError(
            f"the estimator has parts that are none of scikit-learn's ({', '.join(others)}), and "
            "nothing of a study is unpickled: save those by an object of their own that has "
            "state_dict and load_state_dict"
        )
    return unknown


def _skops() -> Any:
    with needs_extra("sklearn"):
        import skops.io
    return skops.io
