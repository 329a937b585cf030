"""Predictions of the best checkpoint for the samples that it was not trained on:
`best/predictions.parquet`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from search_spaces.objective import shown_value
from tune_cluster.ensembles.predictions import Predictions, named, write_predictions
from tune_cluster.ensembles.scores import score_all
from tune_cluster.execution.ray_tune.study import Study
from tune_cluster.storage.inside import write_file
from tune_cluster.storage.retry import StorageLostError
from tune_cluster.storage.store import scratch
from tune_cluster.study.study_file import BEST_FILE, write_json

PREDICTIONS_FILE = "predictions.parquet"

NAMED_CLASSES = 5
"""Number of classes that a line names."""


def samples_in(dataset: Any) -> int | None:
    """Return the number of samples in the data of a search, if it is known."""
    targets = getattr(getattr(dataset, "search", None), "targets", None)
    return None if targets is None else len(targets)


def class_names_of(dataset: Any) -> tuple[str, ...]:
    """Return the names of the dataset's classes, if it has names."""
    return tuple(getattr(getattr(dataset, "search", None), "class_names", ()))


def predict_best(study: Study, best: dict[str, Any]) -> None:
    """Predict the held-out samples with the best checkpoint of a study that is over; write the
    predictions beside it, and their summary to `best` and `best.json`.

    Nothing is done for a trainable without `predict`.
    """
    predict = getattr(study.trainable, "predict", None)
    if predict is None or not study.over:
        return
    folder, names = study.directory / "best", class_names_of(study.dataset)
    config = study.space.restored(best["config"])
    try:
        found = Predictions.of(predict(config, str(folder), study.dataset, "validation"))
        with scratch() as local:
            file = Path(local, PREDICTIONS_FILE)
            write_predictions(file, {best["trial"]: found}, names)
            content = file.read_bytes()
    except StorageLostError:
        raise
    except Exception as error:
        best["predict_error"] = f"{type(error).__name__}: {error}".partition("\n")[0]
        return
    study.retry(lambda: write_file(study.directory, folder / PREDICTIONS_FILE, content))
    best["held_out"] = summary_of(found, samples_in(study.dataset), names)
    write_json(folder / BEST_FILE, best, study.retry, study=study.directory)


def summary_of(found: Predictions, of: int | None, names: tuple[str, ...]) -> dict[str, Any]:
    """Return the number of samples, their scores, and how often each class occurs and is
    predicted.

    Args:
        found: predictions.
        of: number of samples in the data of the search, if it is known.
        names: names of the classes, if there are any.
    """
    summary: dict[str, Any] = {
        "samples": len(found),
        "out_of_fold": of == len(found),
        "scores": score_all(found.predicted, found.targets, areas=False),
    }
    if found.classes:
        each = {"targets": found.targets, "predicted": found.predicted.argmax(axis=1)}
        labels = named(names, found.classes)
        for name, indices in each.items():
            counts = np.bincount(indices, minlength=found.classes).tolist()
            summary[name] = dict(zip(labels, counts, strict=True))
    return summary


def held_out_lines(best: Mapping[str, Any], where: str) -> Iterator[tuple[str, str]]:
    """Yield lines for the summary of a study: the score over all folds, and a notice about classes
    that the best checkpoint never predicts.

    Args:
        best: content of `best.json`.
        where: file of the predictions, as it is typed.
    """
    if "predict_error" in best:
        yield "NOTICE", f"its predict() has failed: {best['predict_error']}"
    if "held_out" not in best:
        return
    held_out = best["held_out"]
    if held_out["out_of_fold"]:
        scores = ", ".join(f"{name} {shown_value(v)}" for name, v in held_out["scores"].items())
        yield (
            "out of fold",
            f"{scores}, over all {held_out['samples']:,} samples, each predicted by the network "
            f"that was not trained on it: {where}",
        )
    yield from _never_predicted(held_out)


def _never_predicted(held_out: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    targets: dict[str, int] = held_out.get("targets", {})
    there = [name for name, count in targets.items() if count]
    never = [name for name in there if not held_out["predicted"][name]]
    if not never:
        return
    cure = (
        "its accuracy cannot tell: search by recall or F1 (--metric), or weigh the classes "
        "(class_weights=balanced)"
    )
    only = [name for name, count in held_out["predicted"].items() if count]
    if len(only) == 1 and len(there) > 1:
        missed = sum(count for name, count in targets.items() if name != only[0])
        yield (
            "NOTICE",
            f"the best model predicts one class only, {only[0]}, for all {held_out['samples']:,} "
            f"held-out samples, of which {missed / held_out['samples']:.1%} are of another class; "
            f"{cure}",
        )
        return
    more = f" and {len(never) - NAMED_CLASSES} more" if len(never) > NAMED_CLASSES else ""
    yield (
        "NOTICE",
        f"the best model never predicts {len(never)} of {len(there)} classes: "
        f"{', '.join(never[:NAMED_CLASSES])}{more}; {cure}",
    )
