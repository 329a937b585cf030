"""LightGBM with its defaults, beside LightGBM itself."""

import sys
from dataclasses import replace

import numpy as np
import pytest

from tests.trainables.table.made_up import mixed
from trainables.data.splits import prepared, with_test_set
from trainables.table import boosting
from trainables.table.boosting import boosted_scores
from trainables.table.table_network import TableNetwork

lightgbm = pytest.importorskip("lightgbm")


def features(table):
    codes = np.where(table.codes < 0, np.nan, table.codes)
    return np.concatenate([table.numbers, codes], axis=1)


@pytest.mark.parametrize("kind", ["classes", "numbers"])
def test_its_scores_are_those_of_the_library_s_own_estimator(kind):
    data = mixed(kind, rows=400)
    estimator = lightgbm.LGBMClassifier if kind == "classes" else lightgbm.LGBMRegressor
    theirs = estimator(random_state=0, deterministic=True, verbosity=-1)
    last = [data.inputs.numbers.shape[1]]
    theirs.fit(features(data.train.inputs), data.train.targets, categorical_feature=last)
    score = theirs.score(features(data.validation.inputs), data.validation.targets)
    _, scores = boosted_scores(data, data.validation)
    # Of accuracy and of R².
    found = scores["accuracy"] if kind == "classes" else scores["r2"]
    assert found == pytest.approx(score, abs=1e-6)


def test_two_classes_are_predicted_too():
    data = mixed("classes", rows=400)
    two = replace(data, targets=np.minimum(data.targets, 1), class_names=("low", "high"))
    _, scores = boosted_scores(two, two.validation)
    assert scores["accuracy"] > 0.8
    assert scores["loss"] < 0.5


def test_it_ends_when_its_time_is_over():
    data = mixed("numbers", rows=400)
    name, scores = boosted_scores(data, data.validation, seconds=0)
    assert "stopped after 1 trees" in name
    assert np.isfinite(scores["rmse"])


def test_without_the_library_a_line_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    data = mixed("numbers")
    assert boosted_scores(data, data.validation) == (
        boosting.NAME,
        "is not installed: pip install 'tune-cluster[tables]'",
    )


def test_a_table_has_a_constant_and_trees_as_baselines():
    search = mixed("numbers")
    raw = with_test_set(search.train, class_names=(), source="here")
    dataset = prepared("made up", raw, seed=0, train_ratio=0.8)
    for on_test, part in ((False, "val"), (True, "test")):
        constant, trees = TableNetwork.baselines(dataset, on_test=on_test).values()
        names = {f"{part}_{score}" for score in ("rmse", "mae", "r2", "mape")}
        assert set(constant) == set(trees) == names
        assert trees[f"{part}_rmse"] < constant[f"{part}_rmse"]
