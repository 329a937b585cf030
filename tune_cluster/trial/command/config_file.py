"""A user's configuration file with the values of a trial: YAML, JSON or TOML."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any, NamedTuple

import tomlkit
import yaml


class _Format(NamedTuple):
    load: Callable[[str], Any]
    dump: Callable[[Any], str]


_YAML = _Format(yaml.safe_load, lambda data: yaml.safe_dump(data, sort_keys=False))

FORMATS = {
    ".yaml": _YAML,
    ".yml": _YAML,
    ".json": _Format(json.loads, lambda data: json.dumps(data, indent=2)),
    ".toml": _Format(tomlkit.parse, tomlkit.dumps),
}
"""Formats by the suffix of a file."""


def with_values(file: str, values: Mapping[str, Any]) -> str:
    """Return the text of a file with these values; `optimizer.lr` is `lr` in its part `optimizer`.

    Raises:
        ValueError: the file cannot be read, or has no place of a name.
    """
    path = Path(file)
    found = FORMATS.get(path.suffix)
    if found is None:
        raise ValueError(f"--config-file {file}: give a file that ends in {', '.join(FORMATS)}")
    try:
        data = found.load(path.read_text())
    except (OSError, ValueError, yaml.YAMLError) as error:
        why = error.strerror if isinstance(error, OSError) else " ".join(str(error).split())
        raise ValueError(f"--config-file {file}: it cannot be read: {why}") from None
    for name, value in values.items():
        _set(data, name, value, file)
    return found.dump(data)


def _set(data: Any, name: str, value: Any, file: str) -> None:
    *outer, last = name.split(".")
    part = data
    for key in outer:
        part = part.get(key) if isinstance(part, Mapping) else None
    if not isinstance(part, MutableMapping):
        raise ValueError(f"--config-file {file}: it has no part {'.'.join(outer) or 'of names'}")
    key = last if last in part else last.replace("_", "-")
    if key not in part:
        raise ValueError(f"--config-file {file}: it has no {name}; it has {', '.join(part)}")
    part[key] = value
