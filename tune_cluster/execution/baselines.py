"""Scores of simple predictors on a study's data, beside which its trials are read.

A trainable offers them (`baselines`, see `ray_tune/capabilities.py`). They are computed by the
driver before the first trial and, on the test set, once at the end, and are kept in
`baselines.json`.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search_spaces.objective import shown_value
from tune_cluster.study.baselines import BASELINES_FILE, Baselines, not_beaten, read_baselines
from tune_cluster.study.study_file import write_json

if TYPE_CHECKING:
    from tune_cluster.execution.ray_tune.study import Study


def known_baselines(directory: Path, trainable: Any, dataset: Any) -> Baselines:
    """Return the scores on the validation set: those of an earlier session, or new ones."""
    earlier = read_baselines(directory).get("validation")
    return _computed(trainable, dataset, on_test=False) if earlier is None else earlier


def write_baselines(study: Study) -> None:
    """Write `baselines.json` with the scores on the validation set, unless it is there."""
    if study.baselines and not (study.directory / BASELINES_FILE).exists():
        _write(study, {"validation": study.baselines})


def plan_lines(study: Study) -> Iterator[tuple[str, str]]:
    """Yield a line for the plan for each predictor."""
    for name, scores in study.baselines.items():
        yield "baseline", _line(name, scores, study.metric)


def summary_lines(study: Study, best: Mapping[str, Any] | None) -> Iterator[tuple[str, str]]:
    """Yield lines for the summary: the scores of the best trial and of each predictor, and on the
    test set where the study has used it. The latter are computed here, and written."""
    shared = [name for scores in study.baselines.values() for name in _scores(scores)]
    if best is None:
        return
    metrics = best["metrics"]
    own = {name: metrics[name] for name in shared if metrics.get(name) is not None}
    if not own:
        return
    yield "best has", _line("", own, study.metric)
    ahead = not_beaten(study.baselines, study.objective, best[study.metric])
    for name, scores in study.baselines.items():
        yield "baseline", _line(name, _only(scores, own), study.metric)
        if name in ahead:
            value = shown_value(ahead[name])
            yield "NOTICE", f"no trial is better than {name}: {study.metric} {value}"
    if "test" in best:
        metric = study.metric.replace("val_", "test_", 1)
        for name, scores in _on_test(study).items():
            yield "baseline", _line(name, _only(scores, best["test"]), metric)


def _on_test(study: Study) -> Baselines:
    kept = read_baselines(study.directory)
    if "test" not in kept:
        kept = {**kept, "test": _computed(study.trainable, study.dataset, on_test=True)}
        _write(study, kept)
    return kept["test"]


def _computed(trainable: Any, dataset: Any, *, on_test: bool) -> Baselines:
    baselines = getattr(trainable, "baselines", None)
    if baselines is None or dataset is None:
        return {}
    try:
        found = baselines(dataset, on_test=on_test)
    except Exception as error:
        # A study does not depend on what it is compared with.
        first = str(error).partition("\n")[0]
        return {"baselines": f"have failed: {type(error).__name__}: {first}"}
    return {
        name: scores
        if isinstance(scores, str)
        else {metric: value for metric, value in scores.items() if math.isfinite(value)}
        for name, scores in found.items()
    }


def _write(study: Study, content: Mapping[str, Baselines]) -> None:
    write_json(study.directory / BASELINES_FILE, content, study.retry)


def _scores(scores: dict[str, float] | str) -> dict[str, float]:
    return {} if isinstance(scores, str) else scores


def _only(scores: dict[str, float] | str, names: Container[str]) -> dict[str, float] | str:
    """Return the scores that have one of these names."""
    if isinstance(scores, str):
        return scores
    return {name: value for name, value in scores.items() if name in names}


def _line(name: str, scores: dict[str, float] | str, first: str) -> str:
    """Return a predictor's scores in words, that of the metric `first` before the others."""
    if isinstance(scores, str):
        return f"{name} {scores}"
    order = sorted(scores, key=lambda metric: metric != first)
    listed = ", ".join(f"{metric} {shown_value(scores[metric])}" for metric in order)
    return f"{listed}: {name}" if name else listed
