"""Export of a trained network of a task: weights, `config.json`, and a `predict.py` that needs
torch, but nothing of this project.

`trainables/<task>/predict.py` is copied with the files that it imports, which know no configuration
class, no data of a search and no Ray: the same lines of code predict here and there.
"""

import ast
import importlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch

from trainables.prediction.answers import ANSWERS_FILE
from trainables.prediction.exported import CONFIG_FILE
from trainables.training.state import STATE_FILE, load_state

HERE = Path(__file__).parent

PACKAGE = "network"
"""Folder, in that of an export, of the files that `predict.py` imports."""

ANSWERS = ("config", "class_names", "numbers", "inputs")
"""Content of `answers.json` that goes to `config.json`."""

PATH_LINES = """
import sys
from pathlib import Path

# The folder of this file, which `python -I` and an import by path leave out.
sys.path.insert(0, str(Path(__file__).parent))
"""


def task_of(checkpoint: Path) -> str | None:
    """Return the task of a checkpoint, if it is of one and says all that an export needs.

    Raises:
        ValueError: its `answers.json` is damaged, or of a task that is not here.
    """
    file = checkpoint / ANSWERS_FILE
    if not file.is_file():
        return None
    content = _read(file)
    # A checkpoint of a first version has the names of its classes alone.
    if "task" not in content:
        return None
    task = content["task"]
    known = sorted(path.parent.name for path in HERE.glob("*/predict.py"))
    if task not in known or not content.keys() >= set(ANSWERS):
        raise ValueError(f"{file}: task {task!r} is none of {', '.join(known)}, or not whole")
    return str(task)


def export_network(checkpoint: Path, target: Path, model: Mapping[str, Any]) -> None:
    """Write an export.

    Args:
        checkpoint: folder with the state and the answers of a trained network, for which `task_of`
            returns a task.
        target: empty folder.
        model: what the model is, as plain JSON: study, trial, epoch, metric, value and so on.

    Raises:
        ValueError: a file of the checkpoint is damaged, or of another network than its
            configuration describes.
    """
    content = _read(checkpoint / ANSWERS_FILE)
    try:
        state = load_state(checkpoint / STATE_FILE)
    # A damaged file raises many kinds of errors, those of pickle among them; no code in it is run.
    except Exception as error:
        why = str(error).partition("\n")[0]
        raise ValueError(f"{checkpoint / STATE_FILE}: cannot be read ({why})") from None
    count = len(state.networks)
    names = [f"weights_{fold}.pt" if count > 1 else "weights.pt" for fold in range(count)]
    for name, network in zip(names, state.networks, strict=True):
        torch.save(
            {key: value.contiguous() for key, value in network.weights.items()}, target / name
        )
    about = {
        "model": dict(model),
        "task": content["task"],
        "weights": names,
        **{name: content[name] for name in ANSWERS},
    }
    text = json.dumps(about, ensure_ascii=False, indent=1)
    (target / CONFIG_FILE).write_text(f"{text}\n", "utf-8")
    first = f"trainables.{content['task']}.predict"
    sources = sources_of(first)
    for name, source in sources.items():
        path = target / PACKAGE / Path(*name.split(".")[1:]).with_suffix(".py")
        if name == first:
            path, source = target / "predict.py", _with_path(source)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(re.sub(r"\bfrom trainables\.", f"from {PACKAGE}.", source), "utf-8")
    try:
        importlib.import_module(first).network_of(target)
    except RuntimeError as error:
        why = " ".join(str(error).split())
        raise ValueError(
            f"{checkpoint}: is of another network than {first} builds ({why})"
        ) from None
    (target / "README.md").write_text(_readme(about, sources[first]), "utf-8")


def sources_of(module: str) -> dict[str, str]:
    """Return the source of a module of ours and of all that it imports of ours, by name; imports
    for types alone do not count."""
    found: dict[str, str] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = (HERE / Path(*name.split(".")[1:])).with_suffix(".py").read_text("utf-8")
            waiting += [one for one in imported(found[name]) if one.startswith("trainables.")]
    return found


def imported(source: str) -> Iterator[str]:
    """Yield the modules that a source imports when it runs."""
    waiting: list[ast.AST] = [ast.parse(source)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            waiting += node.orelse
        else:
            waiting += ast.iter_child_nodes(node)


def _with_path(source: str) -> str:
    first = "from __future__ import annotations\n"
    assert source.count(first) == 1
    return source.replace(first, f"{first}{PATH_LINES}")


def _readme(about: Mapping[str, Any], source: str) -> str:
    model, use = about["model"], ast.get_docstring(ast.parse(source)) or ""
    return f"""# {model["study"]}, trial {model["trial"]}

The network of trial {model["trial"]} after epoch {model["epoch"]}, with {model["metric"]}
{model["value"]:.6g} in the study: {", ".join(about["weights"])}, `config.json`, and `predict.py`,
which imports `{PACKAGE}/`.

{use}
"""


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_bytes())
    except ValueError as error:
        raise ValueError(f"{file}: is no JSON ({error})") from None
    if not isinstance(content, dict):
        raise ValueError(f"{file}: is no object of JSON")
    return content
