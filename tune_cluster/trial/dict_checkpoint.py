"""Checkpoints that `save_checkpoint` returns as a dictionary, which Tune allows beside files.

Tune would pickle the dictionary. Anybody who can write to a study's folder could then run code in
the next process that loads it; so here it is a file with data alone: JSON if JSON restores the same
values, else torch's format, loaded with `weights_only=True`.
"""

from __future__ import annotations

import _codecs
import json
import pickle
from collections.abc import Mapping
from contextlib import AbstractContextManager
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

JSON_FILE = "dict_checkpoint.json"
TORCH_FILE = "dict_checkpoint.pt"


def save_returned(returned: object, folder: str) -> None:
    """Write the dictionary that `save_checkpoint(folder)` has returned to that folder, if any.

    Raises:
        ValueError: it is another path, or a dictionary that contains more than data.
        TypeError: it has a type that Tune does not allow.
    """
    if isinstance(returned, Mapping):
        _write(dict(returned), Path(folder))
    elif isinstance(returned, (str, PathLike)):
        if Path(returned) != Path(folder):
            raise ValueError(
                f"save_checkpoint() has returned the path {returned}: write to the folder that it "
                "is given, and return that, a dictionary, or nothing"
            )
    elif returned is not None:
        raise TypeError(
            f"save_checkpoint() has returned {type(returned).__name__}: write to the folder that "
            "it is given, and return that, a dictionary, or nothing"
        )


def load_returned(folder: Path) -> dict[str, Any] | str:
    """Return the argument of `load_checkpoint`: the dictionary that was returned, else the
    folder."""
    if (folder / JSON_FILE).exists():
        content: dict[str, Any] = json.loads((folder / JSON_FILE).read_text())
        return content
    if (folder / TORCH_FILE).exists():
        import torch

        device = None if torch.cuda.is_available() else "cpu"
        with _arrays_allowed():
            loaded: dict[str, Any] = torch.load(
                folder / TORCH_FILE, map_location=device, weights_only=True
            )
        return loaded
    return str(folder)


def _write(content: dict[Any, Any], folder: Path) -> None:
    if _is_json(content):
        (folder / JSON_FILE).write_text(json.dumps(content))
        return
    # Imported here, since a trainable may not need torch.
    import torch

    file = folder / TORCH_FILE
    try:
        torch.save(content, file)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise _no_data_error(str(error)) from None
    with _arrays_allowed():
        refused = torch.serialization.get_unsafe_globals_in_checkpoint(file)
    if refused:
        raise _no_data_error(", ".join(sorted(refused)))


def _no_data_error(found: str) -> ValueError:
    return ValueError(
        f"save_checkpoint() has returned a dictionary with more than data in it ({found}): "
        "numbers, texts, lists, tensors and arrays are kept, since nothing of a study is "
        "unpickled; write the rest to the folder that it is given"
    )


def _is_json(value: object) -> bool:
    """Return whether JSON restores this value, with the same types."""
    if type(value) is dict:
        return all(type(name) is str and _is_json(part) for name, part in value.items())
    if type(value) is list:
        return all(_is_json(part) for part in value)
    return value is None or type(value) in (bool, int, float, str)


def _arrays_allowed() -> AbstractContextManager[None]:
    """Let torch read NumPy's arrays and numbers too, which also run no code."""
    import torch

    array = np.zeros(1)
    rebuild, scalar = array.__reduce__()[0], array[0].__reduce__()[0]
    dtypes = {type(np.dtype(code)) for code in np.typecodes["All"] if code != "O"}
    allowed = [rebuild, scalar, np.ndarray, np.dtype, bytes, bytearray, _codecs.encode, *dtypes]
    return torch.serialization.safe_globals(allowed)
