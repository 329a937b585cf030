"""Taking a trained network over for other data: what must be fixed so that its weights fit."""

import hashlib
import json
from pathlib import Path
from typing import Any

from trainables.data.splits import SearchData
from trainables.image.config import ImageConfig
from trainables.image.models import build_model
from trainables.training.pretrained import STATE_FILE, load_pretrained

NETWORK = ("model", "hidden_sizes", "channels", "depth", "kernel_size", "activation", "norm")

BEST_FILE = "best.json"


def fixed_by(weights: Path, data: SearchData) -> dict[str, Any]:
    """The hyperparameters of the network that `weights` are of, and `pretrained`.

    Args:
        weights: a state dict, or a checkpoint of ours. A `best.json` beside it, as in a study's
            `best`, says what network it is; without that it is the default one.
        data: what it is to be trained on.

    Raises:
        ValueError: the weights cannot be had, or do not fit that network or the data.
    """
    told = (weights if weights.is_dir() else weights.parent) / BEST_FILE
    config = _config_in(told) if told.is_file() else {}
    fixed = {name: _value(config[name]) for name in NETWORK if name in config}
    fixed["pretrained"] = str(weights.absolute())
    model = build_model(ImageConfig.from_dict(fixed), data.image_shape, data.classes)
    load_pretrained(model, fixed["pretrained"])
    return fixed


def fingerprint_of(weights: Path) -> str:
    """The path, with twelve hexadecimal digits of a hash over the file."""
    file = weights / STATE_FILE if weights.is_dir() else weights
    return f"{file} {hashlib.sha256(file.read_bytes()).hexdigest()[:12]}"


def _config_in(file: Path) -> dict[str, Any]:
    try:
        config = json.loads(file.read_bytes())["config"]
        return {str(name): value for name, value in config.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(
            f"--pretrained: {file} does not say what network the weights are of "
            f"({type(error).__name__}: {error})"
        ) from None


def _value(told: Any) -> Any:
    return tuple(told) if isinstance(told, list) else told
