"""Strategies side by side, from journals that a test writes."""

import csv
import json

import pytest

from search_spaces.objective import Objective
from tests.studies import about
from tune_cluster.reports.comparison import epochs_to, read_runs, show_comparison


def study(folder, strategy, seed, values, mode="max"):
    """Each value is one epoch of a trial of its own; None diverges."""
    path = folder / f"{strategy}-{seed}"
    path.mkdir(parents=True)
    stored = about(mode=mode, seed=seed, options={"strategy": strategy})
    (path / "study.json").write_text(json.dumps(stored))
    events = []
    for trial, value in enumerate(values):
        events.append({"event": "suggested", "trial": trial, "config": {}})
        if value is None:
            events.append({"event": "ended", "trial": trial, "status": "diverged", "epoch": 1})
        else:
            told = {"score": value}
            events.append({"event": "result", "trial": trial, "epoch": 1, "metrics": told})
    (path / "journal.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))


def test_the_best_so_far_counts_diverged_epochs_too(tmp_path):
    study(tmp_path, "random", 0, [0.1, None, 0.3, 0.2])
    ((run,), objective) = read_runs(tmp_path)
    assert objective == Objective("score", "max")
    assert run.best.tolist() == [0.1, 0.1, 0.3, 0.3]
    assert run.trials == 4
    assert epochs_to(run, 0.3, objective) == 3
    assert epochs_to(run, 0.4, objective) is None


@pytest.mark.parametrize("sign", [1, -1])
def test_strategies_are_compared_where_the_shortest_study_ends(tmp_path, sign):
    mode = "max" if sign == 1 else "min"
    for seed in (0, 1):
        study(tmp_path, "tpe", seed, [sign * v for v in (0.1, 0.5, 0.6)], mode)
        study(tmp_path, "random", seed, [sign * v for v in (0.2, 0.3, 0.3, 0.9)], mode)
    text = show_comparison(tmp_path)
    assert "after 3 epochs" in text
    with (tmp_path / "comparison.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["strategy"] for row in rows] == ["tpe", "random"]
    assert [float(row["score mean"]) for row in rows] == [sign * 0.6, sign * 0.3]
    assert (tmp_path / "comparison.png").read_bytes().startswith(b"\x89PNG")


def test_studies_of_two_objectives_are_refused(tmp_path):
    study(tmp_path, "random", 0, [0.1, 0.3])
    study(tmp_path, "tpe", 0, [0.1, 0.3], mode="min")
    with pytest.raises(ValueError, match=r"tpe-0: mode=min of score, .* mode=max of score"):
        show_comparison(tmp_path)


def test_a_folder_without_studies_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="no study of a comparison"):
        show_comparison(tmp_path)
