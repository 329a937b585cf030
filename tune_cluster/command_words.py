"""Words of a command line: flags taken out, or changed."""

from __future__ import annotations

from collections.abc import Sequence


def flag_in(word: str) -> str:
    """Return the flag that a word is or begins with, by its name with hyphens: tyro accepts
    `--smoke_test` too."""
    return word.partition("=")[0].replace("_", "-")


def without(command: Sequence[str], flag: str) -> list[str]:
    """Return the command without a flag and its value, in either of its two forms, for every
    occurrence.

    >>> without(["job.py", "--name", "a", "--trials=3"], "--name")
    ['job.py', '--trials=3']
    """
    kept, at = list(command), 0
    while at < len(kept):
        if flag_in(kept[at]) == flag:
            del kept[at : at + (1 if "=" in kept[at] else 2)]
        else:
            at += 1
    return kept


def taken(command: Sequence[str], flag: str) -> tuple[list[str], list[str]]:
    """Return a command without a flag of several words, and these words.

    >>> taken(["job.py", "--search", "a=1:2", "b=3:4", "--yes"], "--search")
    (['job.py', '--yes'], ['a=1:2', 'b=3:4'])
    """
    kept: list[str] = []
    values: list[str] = []
    inside = False
    for word in command:
        if word.startswith("--"):
            inside = flag_in(word) == flag
            if inside:
                values += [word.partition("=")[2]] if "=" in word else []
                continue
        (values if inside else kept).append(word)
    return kept, values
