"""Metrics in the output of a command, a line at a time.

It reads JSON and Python dictionaries on a line of their own, `{"val_loss": 0.12}`, and within a
line `val_loss=0.12`, `val_loss: 0.12` and `epoch 3`; or the matches of the user's patterns.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
"""Colours, and movements of the cursor."""

_BAR = re.compile(r"\[\d+:\d\d(?::\d\d)?[<,].*?(?:/s|s/)")
"""Time and rate in a progress bar of tqdm: `[00:01<00:02, 9.5it/s, loss=0.3]`."""

_NUMBER = r"[+-]?(?:\d+\.?\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?|nan|inf(?:inity)?)"

_PAIR = re.compile(
    # Excludes names in `9829/10000` or in a time of day, `12:30`.
    rf"(?<![\w.])(?P<name>[A-Za-z_][\w./@-]*)['\"]?\s*[=:]\s*['\"]?(?P<number>{_NUMBER})(?![\w:/]|\.\d)",
    re.IGNORECASE,
)

_EPOCH = re.compile(r"\bepoch\b\s*[=:#]?\s*\[?\s*(\d+(?:\.\d+)?)", re.IGNORECASE)

EPOCH = "epoch"


class PrintedMetrics:
    """Finds metrics in lines.

    Args:
        patterns: regular expressions; a group `(?P<val_loss>…)` is the metric of its name. Without
            patterns the forms above are read.

    Raises:
        ValueError: a pattern is no regular expression, or has no named group.

    >>> PrintedMetrics().in_line("Epoch 3: val_loss=0.12, lr 0.1")
    {'val_loss': 0.12, 'epoch': 3.0}
    """

    def __init__(self, patterns: Sequence[str] = ()) -> None:
        self._patterns = [_compiled(pattern) for pattern in patterns]

    def in_line(self, line: str) -> dict[str, Any]:
        """Return the metrics of a line by name; its epoch, if any, is `epoch`."""
        line = _ESCAPE.sub("", line)
        if self._patterns:
            found = self._matched(line)
        else:
            found = _dictionary(line) or {
                match["name"]: float(match["number"]) for match in _PAIR.finditer(line)
            }
        if EPOCH not in found and (epoch := _EPOCH.search(line)):
            found = {name: value for name, value in found.items() if name.lower() != EPOCH}
            found[EPOCH] = float(epoch[1])
        return found

    def _matched(self, line: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for pattern in self._patterns:
            for match in pattern.finditer(line):
                for name, text in match.groupdict().items():
                    with suppress(TypeError, ValueError):
                        found[name] = float(text)
        return found


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise ValueError(f"--pattern {pattern}: it is no regular expression: {error}") from None
    if not compiled.groupindex:
        raise ValueError(
            f"--pattern {pattern}: give the number a group with the metric's name, such as "
            r"'Average loss: (?P<val_loss>[\d.]+)'"
        )
    return compiled


def is_drawn(text: str, *, ended: bool) -> bool:
    """Return whether a text may be drawn again: it has no line end, or is a bar of tqdm, whose
    line end may be that of another bar below it.

    >>> is_drawn("loss=0.3", ended=True), is_drawn(" 50%|#| 1/2 [00:01<00:01, 1.0it/s]", ended=True)
    (False, True)
    """
    return not ended or _BAR.search(text) is not None


def _as_printed(value: Any) -> Any:
    """Return the number of a text such as '0.25', as Hugging Face's Trainer prints its metrics."""
    if isinstance(value, str) and re.fullmatch(_NUMBER, value, re.IGNORECASE):
        return float(value)
    return value


def _dictionary(line: str) -> dict[str, Any] | None:
    text = line.strip()
    if not (text.startswith("{") and text.endswith("}")):
        return None
    for read in (json.loads, ast.literal_eval):
        with suppress(ValueError, SyntaxError, MemoryError, RecursionError):
            found = read(text)
            if isinstance(found, Mapping):
                return {str(name): _as_printed(value) for name, value in found.items()}
    return None
