"""A folder of samples with a folder for each class, with `train` and `test` above them or not."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

NO_TARGET = "a broken link"

LeftOut = defaultdict[str, list[str]]
"""Files in a dataset's folder that are no samples of it, by reason."""


def class_folders(path: Path, what: str, left_out: LeftOut) -> tuple[list[str], dict[str, Path]]:
    """Find the classes of a dataset and its parts.

    Args:
        path: folder with one folder per class, or with `train`, and optionally `test`, that have
            such folders.
        what: name of a sample, such as "image".
        left_out: files that are left out, to which more are added.

    Returns:
        The names of the classes, in their order, and the folder of each part, "train" first.

    Raises:
        ValueError: there are no such folders, or the test part has a class that the training part
            has not.
    """
    found = _subfolders(path, what, left_out)
    # A class may be called train.
    if "train" not in found or not _entries(path / "train", LeftOut(list))[0]:
        return found, {"train": path}
    if set(found) - {"train", "test"}:
        others = ", ".join(sorted(set(found) - {"train", "test"}))
        raise ValueError(
            f"dataset {path}: beside train and test there is {others}, which would not be read: "
            f"move its {what}s into train, part of which becomes the validation set, or remove the "
            "folder"
        )
    classes = _subfolders(path / "train", what, left_out)
    parts = {"train": path / "train"}
    if "test" in found:
        unknown = set(_subfolders(path / "test", what, left_out)) - set(classes)
        if unknown:
            raise ValueError(
                f"dataset {path}: test has classes that train has not: {sorted(unknown)}"
            )
        parts["test"] = path / "test"
    return classes, parts


def files_by_class(
    path: Path, classes: Sequence[str], what: str, left_out: LeftOut
) -> tuple[list[Path], NDArray[np.int64]]:
    """List the files of a part, class by class, each with the index of its class, int64 `[n]`.

    Raises:
        ValueError: there is no file, or a folder inside that of a class.
    """
    files: list[Path] = []
    labels: list[int] = []
    for index, name in enumerate(classes):
        if not (path / name).is_dir():
            continue
        deeper, here = _entries(path / name, left_out)
        if deeper:
            raise ValueError(
                f"dataset {path / name}: has a subfolder, {deeper[0]}, which would not be read: "
                f"put the {what}s directly into the folder of their class"
            )
        if not here:
            left_out[f"without {what}s"].append(f"{path.name}/{name}")
        files += [path / name / file for file in here]
        labels += [index] * len(here)
    if not files:
        raise ValueError(f"dataset {path}: its folders have no {what}; add {what}s to each class")
    return files, np.array(labels, np.int64)


def told(left_out: LeftOut) -> str:
    """Return which files are left out, for the user; empty if there are none."""
    kinds = [f"{len(names)} {kind} ({names[0]})" for kind, names in left_out.items()]
    return f"left out: {', '.join(kinds)}" if kinds else ""


def check_path(path: Path) -> None:
    """Raise a ValueError unless there is a file or a folder of this path."""
    try:
        there = path.is_dir() or path.is_file()
    except OSError as error:
        raise ValueError(f"dataset {path}: cannot be read ({error.strerror})") from None
    if not there:
        why = "neither a file nor a folder" if path.exists() else "no such file or folder"
        raise ValueError(f"dataset {path}: {NO_TARGET if path.is_symlink() else why}")


def _entries(path: Path, left_out: LeftOut) -> tuple[list[str], list[str]]:
    """Return the names of the subfolders and of the files of a folder, without hidden ones, which
    tools leave behind, such as .ipynb_checkpoints."""
    folders, files = [], []
    try:
        for entry in sorted(path.iterdir()):
            if entry.name.startswith("."):
                left_out["hidden"].append(entry.name)
            elif entry.is_dir():
                folders.append(entry.name)
            elif entry.is_file():
                files.append(entry.name)
            else:
                what = NO_TARGET if entry.is_symlink() else "neither a file nor a folder"
                raise ValueError(f"dataset {entry}: {what}; repair or remove it")
    except OSError as error:
        raise ValueError(f"dataset {path}: cannot be read ({error.strerror})") from None
    return folders, files


def _subfolders(path: Path, what: str, left_out: LeftOut) -> list[str]:
    folders, files = _entries(path, left_out)
    if not folders:
        raise ValueError(f"dataset {path}: has no subfolder; give one folder of {what}s per class")
    if files:
        left_out["beside the folders of the classes"] += files
    return folders
