"""The picture of a study, from its directory alone."""

import json
import subprocess
import sys

import matplotlib.image
import pytest

from tests.conftest import ROOT
from tests.reports.written import write_study
from tests.studies import about
from tune_cluster.reports import plots
from tune_cluster.reports.plots import draw_curves, shown_hyperparameters


def picture_of(study):
    """The picture as pixels; a file that is no PNG is an error."""
    draw_curves(study, study / "curves.png")
    return matplotlib.image.imread(study / "curves.png")


@pytest.mark.parametrize("mode", ["max", "min"])
def test_a_study_with_every_kind_of_trial_is_drawn(tmp_path, mode):
    pixels = picture_of(write_study(tmp_path, mode=mode))
    assert pixels.shape[0] > 300
    assert pixels.shape[1] > 800
    assert pixels[..., :3].std() > 0.01, "an empty page"


def test_another_best_trial_gives_another_picture(tmp_path):
    first = picture_of(write_study(tmp_path))
    second = picture_of(write_study(tmp_path, mode="min"))
    assert (first != second).any()


def test_a_rung_that_was_left_out_is_not_drawn(tmp_path):
    left_out, without = tmp_path / "left_out", tmp_path / "without"
    for folder, rungs in ((left_out, (1, 3)), (without, (3,))):
        folder.mkdir()
        write_study(folder, rungs=rungs)
    judged = {"event": "rung_judged", "rung": 1, "next": 3, "pairs": 6, "agreement": 0.5}
    with (left_out / "journal.jsonl").open("a") as file:
        file.write(json.dumps({**judged, "used": False}) + "\n")
    assert (picture_of(left_out) == picture_of(without)).all()


@pytest.mark.parametrize("trials", [[], [([], None)], [([], "diverged")], [([0.5], "finished")]])
def test_a_nearly_empty_study_is_drawn(tmp_path, trials):
    assert picture_of(write_study(tmp_path, trials)).size


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"learning_rate": 0.1},
        {"batch_size": 32},
        {"quality": 0.5},
        {"learning_rate": [0.1, 0.2], "batch_size": "small"},
        {"learning_rate": "high", "batch_size": [1, 2]},
        {"learning_rate": 0.0, "batch_size": 0},
    ],
)
def test_a_space_with_another_learning_rate_or_batch_size_or_none_is_drawn(tmp_path, config):
    assert picture_of(write_study(tmp_path, config=config, rungs=())).size


@pytest.mark.parametrize(
    ("parameters", "configs", "shown"),
    [
        (
            ["dropout", "batch_size", "learning_rate"],
            [{"batch_size": 32, "learning_rate": 0.1}],
            {"batch_size": True, "learning_rate": True},
        ),
        (["act", "amp", "lr"], [{"act": "relu", "amp": True, "lr": 0.1}], {"lr": True}),
        (
            ["width", "depth", "lr"],
            [{"width": 8, "depth": 0, "lr": 1}],
            {"width": True, "depth": False},
        ),
        (["act"], [{"act": "relu", "seed": 3}], {}),
        (["lr"], [], {}),
    ],
)
def test_searched_hyperparameters_with_numbers_are_shown(parameters, configs, shown):
    space = {"name": "own", "parameters": [{"name": name} for name in parameters], "fixed": {}}
    assert shown_hyperparameters(about(space=space), configs) == shown


def test_a_range_comes_before_a_list():
    lr = {"name": "lr", "low": 0.1, "high": 1.0, "scale": "log", "integer": False}
    space = {"name": "own", "parameters": [{"name": "batch_size"}, lr], "fixed": {}}
    shown = shown_hyperparameters(about(space=space), [{"batch_size": 32, "lr": 0.1}])
    assert list(shown) == ["lr", "batch_size"]


def test_a_range_is_drawn_as_it_is_searched():
    ends = {"low": 0.1, "high": 1.0, "integer": False}
    parameters = [{"name": "a", "scale": "linear", **ends}, {"name": "b", "scale": "log", **ends}]
    space = {"name": "own", "parameters": parameters, "fixed": {}}
    assert shown_hyperparameters(about(space=space), [{"a": 0.5, "b": 0.5}]) == {
        "a": False,
        "b": True,
    }


def test_a_metric_below_zero_is_not_drawn_upside_down(tmp_path, monkeypatch):
    limits = []
    save = plots.save_picture

    def saved(figure, target):
        limits.append(figure.axes[0].get_ylim())
        save(figure, target)

    monkeypatch.setattr(plots, "save_picture", saved)
    picture_of(write_study(tmp_path, [([-0.9, -0.5], "finished"), ([-0.8], "stopped")]))
    low, high = limits[0]
    assert low < high
    assert low <= -0.5 <= high


def test_a_folder_without_a_study_is_an_error(tmp_path):
    with pytest.raises(ValueError, match=r"study\.json"):
        draw_curves(tmp_path, tmp_path / "curves.png")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_plot_command_writes_the_picture_into_the_study(tmp_path):
    write_study(tmp_path)
    command = [sys.executable, "-m", "tune_cluster", "plot", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True)
    assert matplotlib.image.imread(tmp_path / "curves.png").size
