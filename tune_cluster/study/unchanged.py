"""Whether a script still says what the study was started with that it resumes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tune_cluster.study.study_file import STUDY_FILE, read_study_file

ABSENT = "absent"
"""In place of a hyperparameter that is not there."""


def check_unchanged(directory: Path, **now: Any) -> None:
    """Refuses what would give another meaning to the trials that are known.

    Args:
        directory: of the study; nothing is refused of one that is new.
        now: by its name in `study.json`, what the script says. What an earlier version has not
            written there is not compared.

    Raises:
        ValueError: the study was started with something else; both values are in it.
    """
    if not (directory / STUDY_FILE).exists():
        return
    first = read_study_file(directory)
    said = json.loads(json.dumps(now, default=str))
    changed = [
        difference
        for name in said
        if name in first
        for difference in differences(name, first[name], said[name])
    ]
    if changed:
        raise ValueError(
            f"--resume {directory}: the script does not say what the study was started with: "
            f"{'; '.join(changed)}. Put that back, or start a new study"
        )


def differences(name: str, was: Any, here: Any) -> Iterator[str]:
    """In words, both values of each part that is another one."""
    if name == "space":
        was, here = dimensions(was), dimensions(here)
    if isinstance(was, Mapping) and isinstance(here, Mapping):
        for part in {**was, **here}:
            # A value may be None.
            before, now = was.get(part, ABSENT), here.get(part, ABSENT)
            if before != now:
                yield f"{part} was {before}, here {now}"
    elif was != here:
        yield f"{name} was {was}, here {here}"


def dimensions(space: Mapping[str, Any]) -> dict[str, Any]:
    """What is searched and what is fixed, by name; the order decides which point has which value.

    Args:
        space: as `study.json` has it.
    """
    searched = {branch(parameter): parameter for parameter in space["parameters"]}
    return {**searched, **space["fixed"], "order of the hyperparameters": list(searched)}


def branch(parameter: Mapping[str, Any]) -> str:
    """The name of a hyperparameter, and where it exists: each branch may have one of that name."""
    condition = parameter.get("condition")
    return str(parameter["name"]) if condition is None else f"{parameter['name']} for {condition}"
