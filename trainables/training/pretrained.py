"""Weights to start from: a checkpoint of ours, or any state dict that fits."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

STATE_FILE = "state.pt"


def load_pretrained(model: nn.Sequential, path: str) -> list[str]:
    """Copy the weights in `path` into `model`; the head only if it has as many classes.

    Args:
        model: its last layer is the head.
        path: of a state dict, of a `state.pt` of ours, or of the folder that has one; only tensors
            are read, no code is run.

    Returns:
        The names that keep their random weights: none, or those of the head.

    Raises:
        ValueError: the file is not there, is no state dict, or is of another network.
    """
    weights = read_weights(Path(path))
    own = model.state_dict()
    head = f"{len(model) - 1}."
    fits = {name for name in own if name in weights and weights[name].shape == own[name].shape}
    missing = [name for name in own if name not in fits]
    for name in (*missing, *(name for name in weights if name not in own)):
        # The head may be of other classes, or not there.
        if name.startswith(head) and name in own and fits:
            continue
        raise ValueError(
            f"pretrained {path}: weights of another network: {name} is {_shape(weights, name)} "
            f"there, {_shape(own, name)} here"
        )
    model.load_state_dict({name: weights[name] for name in fits}, strict=False)
    return missing


def read_weights(path: Path) -> dict[str, Tensor]:
    """The state dict in a file or a checkpoint folder.

    Raises:
        ValueError: it is not there, or is none.
    """
    file = path / STATE_FILE if path.is_dir() else path
    if not file.is_file():
        raise ValueError(f"pretrained {path}: no such file; give a state dict or a checkpoint")
    try:
        content = torch.load(file, weights_only=True, map_location="cpu")
    except Exception as error:
        first = str(error).splitlines()[0]
        raise ValueError(f"pretrained {path}: no state dict can be read there ({first})") from None
    if isinstance(content, dict) and set(content) >= {"epoch", "networks"}:
        content = _of_ours(path, content["networks"])
    if not isinstance(content, dict) or not all(isinstance(v, Tensor) for v in content.values()):
        raise ValueError(f"pretrained {path}: it holds no state dict")
    return content


def load_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Copy a model's `state_dict` into this one.

    Raises:
        ValueError: the state is of another model than this one.
    """
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(
            f"the state is of another model than the config describes; give the config that it was "
            f"trained with ({error})"
        ) from None


def _of_ours(path: Path, networks: Any) -> Any:
    if not isinstance(networks, (list, tuple)) or not all(isinstance(n, dict) for n in networks):
        return None
    if len(networks) != 1:
        raise ValueError(
            f"pretrained {path}: {len(networks)} networks, one a fold: train one without folds, or "
            "give the state dict of one of them"
        )
    # The average, where one was kept, is what was validated.
    return {**networks[0].get("model", {}), **networks[0].get("average", {})}


def _shape(weights: Mapping[str, Tensor], name: str) -> str:
    return str(list(weights[name].shape)) if name in weights else "nothing"


def freeze(model: nn.Sequential, frozen: bool) -> None:
    """Let the body of a network train or not; the head always does."""
    for layer in list(model)[:-1]:
        layer.requires_grad_(not frozen)


def keep_statistics(model: nn.Sequential) -> None:
    """Let the norms of a frozen body use the statistics that they came with, and leave them."""
    for layer in list(model)[:-1]:
        for module in layer.modules():
            if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
                module.eval()
