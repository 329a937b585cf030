"""The state of a run: all that is needed to go on from an epoch, bit for bit."""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


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

    patience: dict[str, float]
    """What is remembered of the validation loss."""

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
    """
    content = torch.load(path, weights_only=True, map_location="cpu")
    try:
        networks = tuple(NetworkState(**network) for network in content.pop("networks"))
        return State(**content, networks=networks)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is not a state that this version wrote: {error}") from None
