"""The state of a run, from which it goes on bit for bit, and weights to start from."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class NetworkState:
    """One network and its optimizer."""

    updates: int
    """Optimizer steps done."""
    model: dict[str, Tensor]
    """The model's `state_dict`."""
    optimizer: dict[int, dict[str, Any]]
    """What the optimizer remembers of each parameter (momentum, moments)."""
    average: dict[str, Tensor]
    """The moving average of the weights; empty where none is kept."""


@dataclass(frozen=True, kw_only=True)
class State:
    """Where a run stands after an epoch.

    No random state is in it: every stream is derived from the seed and the epoch. No hyperparameter
    either: those come from the config, so that a resumed run never gets an old learning rate back.
    """

    epoch: int
    """Epochs done."""
    networks: tuple[NetworkState, ...]
    """One, or one a fold."""
    patience: dict[str, Any]
    """What is remembered of the validation loss: the fields of `loop.Patience`."""

    def check_networks(self, networks: int) -> None:
        """Hold the number of networks against the config's folds.

        Raises:
            ValueError: another number.
        """
        if len(self.networks) != networks:
            raise ValueError(
                f"the state is of {len(self.networks)} networks, the config's folds are "
                f"{networks}: give the folds that it was trained with"
            )


def snapshot(state: State) -> State:
    """Copy a state, so that it outlives the next step of the loop that yielded it."""
    return copy.deepcopy(state)


def save_state(state: State, path: Path | str) -> None:
    """Write a state as tensors and numbers alone, for `torch.load(weights_only=True)`."""
    networks = [dict(vars(network)) for network in state.networks]
    torch.save({**vars(state), "networks": networks}, path)


def load_state(path: Path | str) -> State:
    """Read what `save_state` wrote, onto the CPU; no code in the file is ever run.

    Raises:
        ValueError: a file that is not a state.
        pickle.UnpicklingError, RuntimeError: torch's, of a file with code in it, and of a damaged
            one.
    """
    content = torch.load(path, weights_only=True, map_location="cpu")
    try:
        networks = tuple(NetworkState(**network) for network in content.pop("networks"))
        return State(**content, networks=networks)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a state that this version wrote: {error}") from None


STATE_FILE = "state.pt"


def load_pretrained(model: nn.Sequential, path: str) -> list[str]:
    """Copy the weights in `path` into `model`; its last layer, the head, only if that has as many
    classes.

    Args:
        path: of a state dict, of a `state.pt` of ours, or of the folder that has one; only tensors
            are read, no code is run.

    Returns:
        The names that keep their random weights: none, or those of the head.

    Raises:
        ValueError: the file is not there, is no state dict, or is of another network.
    """
    weights = _read_weights(Path(path))
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


def _read_weights(path: Path) -> dict[str, Tensor]:
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
    if not _is_state_dict(content):
        raise ValueError(f"pretrained {path}: it holds no state dict")
    return dict(content)


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


def _is_state_dict(content: Any) -> bool:
    return isinstance(content, dict) and all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items()
    )


def _of_ours(path: Path, networks: Any) -> Any:
    if not isinstance(networks, (list, tuple)) or not all(isinstance(n, dict) for n in networks):
        return None
    if len(networks) != 1:
        raise ValueError(
            f"pretrained {path}: {len(networks)} networks, one a fold: train one without folds, or "
            "give the state dict of one of them"
        )
    # The average, where one was kept, is what was validated.
    parts = networks[0].get("model", {}), networks[0].get("average", {})
    return {**parts[0], **parts[1]} if all(isinstance(part, dict) for part in parts) else None


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
