"""Words of a command with the values of a trial: `--lr {lr} --out {trial_dir}`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

PLACEHOLDER = re.compile(r"\{\{|\}\}|\{(?P<name>[A-Za-z_][\w.-]*)\}")
"""Pattern of a name in braces; doubled braces represent single ones."""


def names_in(words: Sequence[str]) -> set[str]:
    """Return the names in braces, with `_` for `-`.

    >>> sorted(names_in(["python", "train.py", "--lr={lr}", "{batch-size}", "{{x}}"]))
    ['batch_size', 'lr']
    """
    found = {match["name"] for word in words for match in PLACEHOLDER.finditer(word)}
    return {name.replace("-", "_") for name in found if name is not None}


def rendered(words: Sequence[str], values: Mapping[str, Any]) -> list[str]:
    """Return the words with the values in place of their names.

    A word with a name that has no value is left out, and so is the flag before it if the word is
    only that name: a hyperparameter that this configuration does not have.

    >>> rendered(["train", "--lr", "{lr}", "--momentum", "{momentum}"], {"lr": 0.1})
    ['train', '--lr', '0.1']
    """
    found: list[str] = []
    for word in words:
        if names_in([word]) <= values.keys():
            found.append(PLACEHOLDER.sub(lambda match: _shown(match, values), word))
        elif PLACEHOLDER.fullmatch(word) and found and found[-1].startswith("-"):
            found.pop()
    return found


def _shown(match: re.Match[str], values: Mapping[str, Any]) -> str:
    if match["name"] is None:
        return match[0][0]
    value = values[match["name"].replace("-", "_")]
    return value if isinstance(value, str) else json.dumps(value)
