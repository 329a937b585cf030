"""State of a run, which a resume continues bit for bit, and initial weights."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class NetworkState:
    """State of one network and its optimizer."""

    updates: int
    """Number of optimizer steps so far."""
    model: dict[str, Tensor]
    """The model's `state_dict`."""
    optimizer: dict[int, dict[str, Any]]
    """Memory of the optimizer for each parameter (momentum, moments)."""
    average: dict[str, Tensor]
    """Moving average of the weights; empty without averaging."""

    @property
    def weights(self) -> dict[str, Tensor]:
        """The `state_dict` that is validated and used: the average, if there is one."""
        return {**self.model, **self.average}


@dataclass(frozen=True, kw_only=True)
class State:
    """State of a run after an epoch.

    It has no random state: every stream is derived from the seed and the epoch. It has no
    hyperparameters: those come from the config, so that a resumed run cannot restore an old
    learning rate.
    """

    epoch: int
    """Number of epochs so far."""
    networks: tuple[NetworkState, ...]
    """State of the network, or of one network per fold."""
    patience: dict[str, Any]
    """Memory of the watched validation score: the fields of `early_stopping.Patience`."""

    def check_networks(self, networks: int) -> None:
        """Check the number of networks against the config's folds.

        Raises:
            ValueError: the numbers differ.
        """
        if len(self.networks) != networks:
            raise ValueError(
                f"the state has {len(self.networks)} networks, the config has {networks} folds: "
                f"give the folds that the state was trained with"
            )


def snapshot(state: State) -> State:
    """Copy a state, so that it stays valid after the next step of the loop that yielded it."""
    return copy.deepcopy(state)


def save_state(state: State, path: Path | str) -> None:
    """Write a state as tensors and numbers alone, for `torch.load(weights_only=True)`."""
    networks = [dict(vars(network)) for network in state.networks]
    torch.save({**vars(state), "networks": networks}, path)


def load_state(path: Path | str) -> State:
    """Read a file that `save_state` wrote, onto the CPU; code in the file is never run.

    Raises:
        ValueError: the file is not a state.
        pickle.UnpicklingError, RuntimeError: raised by torch for a file with code in it, and for a
            damaged one.
    """
    content = torch.load(path, weights_only=True, map_location="cpu")
    try:
        networks = tuple(NetworkState(**network) for network in content.pop("networks"))
        return State(**content, networks=networks)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a state that this version wrote: {error}") from None


STATE_FILE = "state.pt"


def load_pretrained(model: nn.Sequential, path: str) -> list[str]:
    """Copy the weights in `path` into `model`; the last layer, the head, only if its number of
    classes fits.

    Args:
        model: model to be changed.
        path: a state dict, one of our `state.pt` files, or the folder that contains it; only
            tensors are read, no code is run.

    Returns:
        Names of the parameters that keep their random weights: none, or those of the head.

    Raises:
        ValueError: the file does not exist, is no state dict, or is of another network.
    """
    weights = pretrained_weights(path)
    own = model.state_dict()
    head = f"{len(model) - 1}."
    fits = {name for name in own if name in weights and weights[name].shape == own[name].shape}
    missing = [name for name in own if name not in fits]
    for name in (*missing, *(name for name in weights if name not in own)):
        # The head may have other classes, or be missing.
        if name.startswith(head) and name in own and fits:
            continue
        raise ValueError(
            f"pretrained {path}: weights of another network: {name} is {_shape(weights, name)} "
            f"in the file, {_shape(own, name)} in the model"
        )
    model.load_state_dict({name: weights[name] for name in fits}, strict=False)
    return missing


def pretrained_weights(name: str) -> dict[str, Tensor]:
    """Read a state dict, of the path that `load_pretrained` takes.

    Raises:
        ValueError: the file does not exist, or is no state dict.
    """
    path = Path(name)
    file = path / STATE_FILE if path.is_dir() else path
    if not file.is_file():
        raise ValueError(f"pretrained {path}: no such file; give a state dict or a checkpoint")
    try:
        content = torch.load(file, weights_only=True, map_location="cpu")
    except Exception as error:
        first = str(error).splitlines()[0]
        raise ValueError(f"pretrained {path}: cannot be read as a state dict ({first})") from None
    if isinstance(content, dict) and set(content) >= {"epoch", "networks"}:
        content = _of_ours(path, content["networks"])
    if not _is_state_dict(content):
        raise ValueError(f"pretrained {path}: has no state dict; give one, or a checkpoint")
    return dict(content)


def load_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Copy a `state_dict` into the model.

    Raises:
        ValueError: the state is of another model.
    """
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(
            f"the state is of another model than the config describes; give the config that the "
            f"state was trained with ({error})"
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
            f"pretrained {path}: has {len(networks)} networks, one per fold: train without folds, "
            "or give the state dict of one of them"
        )
    # The average, if there is one, is the model that was validated.
    parts = networks[0].get("model", {}), networks[0].get("average", {})
    return {**parts[0], **parts[1]} if all(isinstance(part, dict) for part in parts) else None


def _shape(weights: Mapping[str, Tensor], name: str) -> str:
    return str(list(weights[name].shape)) if name in weights else "nothing"


def freeze(model: nn.Sequential, frozen: bool) -> None:
    """Freeze or unfreeze the body of a network; the head is always trained."""
    for layer in list(model)[:-1]:
        layer.requires_grad_(not frozen)


def keep_statistics(model: nn.Sequential) -> None:
    """Let the norms of a frozen body use their loaded statistics, without updating them."""
    for layer in list(model)[:-1]:
        for module in layer.modules():
            if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
                module.eval()
