"""Export of the best model of a person's own trainable: what is known of it are the files of its
checkpoint and its configuration."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tune_cluster.reports.export_study import Chosen
from tune_cluster.storage.store import RESULT_FILE
from tune_cluster.study.study_file import BEST_FILE

STATE_FILE = "state.pt"
"""File with the objects given to `tune_cluster.epochs`, or with the networks of our tasks."""

PREDICT = Path(__file__).with_name("own_predict.py")

NO_MODEL = {RESULT_FILE, BEST_FILE, "predictions.parquet", "schedule.json"}
"""Files of a checkpoint, or of `best/`, that are not the trainable's."""


def export_own(best: Chosen, target: Path) -> list[str]:
    """Write an export: the weights of each object that has some, or else the files of the
    checkpoint; `config.json`, and a `predict.py` in which the model has yet to be built.

    Args:
        best: the checkpoint.
        target: empty folder.

    Returns:
        Names of the files with weights; without one the files are in `checkpoint/`.
    """
    import torch

    weights = dict(_weights(best.folder / STATE_FILE))
    for name, state in weights.items():
        torch.save(state, target / name)
    files = sorted(path for path in best.folder.iterdir() if path.name not in NO_MODEL)
    if not weights:
        (target / "checkpoint").mkdir()
        for path in files:
            copy = shutil.copytree if path.is_dir() else shutil.copyfile
            copy(path, target / "checkpoint" / path.name)
    about = best.study.about
    content = {
        "model": best.described(),
        "script": about["options"].get("script") or about["command"][1],
        "command": about["options"].get("command"),
        "arguments": about["options"].get("arguments"),
        "weights": list(weights),
        "checkpoint": [] if weights else [f"checkpoint/{path.name}" for path in files],
        "config": best.config,
    }
    text = json.dumps(content, ensure_ascii=False, indent=1)
    (target / "config.json").write_text(f"{text}\n", "utf-8")
    shutil.copyfile(PREDICT, target / "predict.py")
    (target / "README.md").write_text(_readme(content), "utf-8")
    return list(weights)


def _weights(file: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield name of the file and state of each object with weights alone: neither of an optimizer
    nor of a schedule."""
    import torch

    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    # A file of a person's own may be anything, which is then copied as it is.
    except Exception:
        return
    if not isinstance(content, dict):
        return
    objects, networks = content.get("objects"), content.get("networks")
    if isinstance(networks, list) and all(isinstance(one, dict) for one in networks):
        # Of our tasks; the average of the weights, if there is one, is what was validated.
        each = [{**one.get("model", {}), **one.get("average", {})} for one in networks]
        objects = {
            f"network_{fold}" if len(each) > 1 else "network": s for fold, s in enumerate(each)
        }
    for name, state in (objects if isinstance(objects, dict) else {}).items():
        tensors = isinstance(state, dict) and all(
            isinstance(v, torch.Tensor) for v in state.values()
        )
        if tensors and state and str(name).isidentifier():
            yield f"{name}.pt", state


def _readme(content: Mapping[str, Any]) -> str:
    model = content["model"]
    files = content["weights"] or content["checkpoint"]
    use = (
        "Write `build_model` in `predict.py`, as the script builds its model; `load()` then\n"
        "returns it with its weights."
        if content["weights"]
        else "Load it with the library that wrote it; `config.json` has the values of the training."
    )
    return f"""# {model["study"]}, trial {model["trial"]}

The model of trial {model["trial"]} after epoch {model["epoch"]}, with {model["metric"]}
{model["value"]:.6g} in the study: {", ".join(files)}.

{use}
"""
