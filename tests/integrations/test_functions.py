"""Callbacks of other libraries, and `tune_cluster.epochs`, in a function passed to a Tuner."""

import pytest
from torch import nn

import tune_cluster as tc
from search_spaces.schedulers.asha import ASHA
from tests.conftest import journal_of
from tests.journals import trials_in

pytestmark = pytest.mark.long


def boosts(config):
    import numpy
    import xgboost

    from tune_cluster.integrations.xgboost import TuneCallback

    inputs = numpy.arange(60.0).reshape(-1, 1)
    data = xgboost.DMatrix(inputs, numpy.sin(inputs[:, 0]))
    callback = TuneCallback()
    xgboost.train(
        {"eta": config["rate"], "nthread": 1},
        data,
        num_boost_round=callback.rounds(4),
        evals=[(data, "val")],
        callbacks=[callback],
        xgb_model=callback.model,
    )


def loops(config):
    weight = nn.Linear(1, 1, bias=False)
    for epoch in tc.epochs(4, weight=weight):
        weight.weight.data.fill_(epoch * config["rate"])
        tc.report({"val-rmse": 1 / weight.weight.item()})


@pytest.mark.parametrize("train", [boosts, loops])
def test_a_function_is_promoted_and_resumes(train, cluster_address, tmp_path, monkeypatch):
    if train is boosts:
        pytest.importorskip("xgboost")
    monkeypatch.chdir(tmp_path)
    results = tc.Tuner(
        train,
        param_space={"rate": tc.grid_search([0.4, 0.2, 0.1, 0.05])},
        tune_config=tc.TuneConfig(
            metric="val-rmse",
            mode="min",
            scheduler=ASHA(max_epochs=4, grace_period=1, reduction_factor=2),
            max_concurrent_trials=1,
        ),
        run_config=tc.RunConfig(storage_path=str(tmp_path), name="study"),
    ).fit()
    assert results.num_errors == 0
    assert any(event["event"] == "promoted" for event in journal_of(tmp_path / "study"))
    trials = trials_in(tmp_path / "study" / "journal.jsonl", "val-rmse", "min")
    assert max(trial.epochs for trial in trials.values()) == 4
    for trial in trials.values():
        values = [metrics["val-rmse"] for metrics in trial.results.values()]
        assert list(trial.results) == list(range(1, trial.epochs + 1))
        assert values == sorted(values, reverse=True)
