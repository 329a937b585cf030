"""A study by one call: its space, its result, its processes."""

import inspect
import os
from pathlib import Path

import pytest
from ray import tune

import tune_cluster as tc
from search_spaces.hyperparameter import Hyperparameter
from tests.in_process import SPACE
from tests.journals import read_events
from tune_cluster.execution.search import stated_space
from tune_cluster.study.journal import JOURNAL
from tune_cluster.study.study_file import read_study_file


def parameters(given):
    return {one.name: one for one in stated_space(given).parameters}


def test_a_list_is_a_choice_and_is_ordered_if_its_numbers_ascend():
    found = parameters({"width": [8, 16, 32], "depth": [34, 18], "act": ["relu", "gelu"]})
    assert {name: one.ordered for name, one in found.items()} == {
        **{"width": True, "depth": False, "act": False}
    }
    assert found["depth"].values == (34, 18)
    assert found["act"].default == "relu"


@pytest.mark.parametrize(
    ("domain", "meant"),
    [
        (tc.log(1e-4, 1e-2), {"low": 1e-4, "high": 1e-2, "scale": "log"}),
        (tc.loguniform(1e-4, 1e-2), {"low": 1e-4, "high": 1e-2, "scale": "log"}),
        (tc.uniform(0.0, 0.5), {"low": 0.0, "high": 0.5}),
        (tc.int(1, 6), {"low": 1, "high": 6, "integer": True}),
        (tc.logint(16, 512), {"low": 16, "high": 512, "scale": "log", "integer": True}),
        (tc.randint(1, 7), {"low": 1, "high": 6, "integer": True}),
        (tc.choice([3, 4]), {"values": (3, 4)}),
    ],
)
def test_a_range_and_its_default_are_those_of_the_command_line(domain, meant):
    assert parameters({"x": domain})["x"] == Hyperparameter(
        **{"name": "x", "role": "scientific", **meant}
    )


def test_a_dictionary_in_the_space_is_nested_and_its_constants_are_fixed():
    given = {"optimizer": {"lr": tc.log(1e-4, 1e-1), "betas": (0.9, 0.99)}, "act": ["relu", "tanh"]}
    space = stated_space(given)
    assert [one.name for one in space.parameters] == ["optimizer/lr", "act"]
    assert dict(space.fixed) == {"optimizer/betas": (0.9, 0.99)}


def test_a_space_object_is_taken_as_it_is():
    assert stated_space(SPACE) is SPACE


def train(config):
    tc.report(score=config["x"])


@pytest.mark.parametrize(
    ("space", "options", "said"),
    [
        ({"x": 1}, {}, "nothing to be searched"),
        ({"x": []}, {}, "to choose from"),
        ({"x": tc.log(1, 0.1)}, {}, "low 1.* must be below high 0.1"),
        ({"x": tc.randn()}, {}, "no range here"),
        ([1, 2], {}, "the space is a list"),
        ({"x": [1, 2]}, {"trails": 3}, "trails: unknown option; .* trials"),
        ({"x": [1, 2]}, {"trials": 0}, "--trials 0"),
        ({"x": [1, 2]}, {"mode": "least"}, "must be min or max|must be max or min"),
        ({"score": [1, 2]}, {}, "score is the study's metric"),
        ({"x": [1, 2]}, {"callbacks": [print]}, "subclasses of tune_cluster.Callback"),
    ],
)
def test_bad_input_is_a_value_error_before_anything_is_scheduled(
    tmp_path, monkeypatch, space, options, said
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=said):
        tc.search(train, space, metric="score", **options)
    assert not list(tmp_path.iterdir())


def test_search_also_has_the_attributes_of_ray_tune_search():
    name = "ConcurrencyLimiter"
    assert getattr(tc.search, name) is tune.search.ConcurrencyLimiter
    assert "metric" in inspect.signature(tc.search).parameters
    assert not hasattr(tc.search, "Nothing")


class Weights:
    """State for `epochs` as in a training script: a number that grows with every epoch."""

    def __init__(self):
        self.value = 0.0

    def state_dict(self):
        return {"value": self.value}

    def load_state_dict(self, state):
        self.value = state["value"]


def growing():
    """A function that changes a variable of its notebook."""
    shared = Weights()

    def grow(config):
        begun = shared.value
        for _ in tc.epochs(9, weights=shared):
            shared.value += config["net"]["rate"]
            tc.report(score=shared.value, begun=begun, process=os.getpid())

    return grow


class Found:
    def __init__(self, folder):
        self.options = {"metric": "score", "mode": "max", "seed": 1, "max_concurrent": 1}
        self.options |= {"max_epochs": 9, "storage_path": str(folder), "name": "grown"}
        space = {"net": {"rate": tc.uniform(0.0, 1.0)}, "act": ["relu", "gelu"]}
        self.result = tc.search(growing(), space, trials=9, **self.options)
        self.directory = folder / "grown"
        self.events = read_events(self.directory / JOURNAL)


@pytest.fixture(scope="module")
def found(cluster_address, tmp_path_factory):
    return Found(tmp_path_factory.mktemp("found"))


@pytest.mark.slow
def test_search_uses_a_gaussian_process_and_asha_by_default(found):
    about = read_study_file(found.directory)
    assert about["strategy"]["searcher"] == "GPSearch"
    assert (about["strategy"]["scheduler"], about["strategy"]["grace_period"]) == ("asha", None)
    assert found.result.complete
    assert {one.status for one in found.result} >= {"stopped", "finished"}
    assert any(event["event"] == "decision" for event in found.events)
    assert found.result[0].config == {"net": {"rate": 0.5}, "act": "relu"}


@pytest.mark.slow
def test_the_result_has_the_best_configuration_value_and_checkpoint(found):
    result = found.result
    best = result.get_best_result()
    assert result.config == best.config
    assert result.value == best.metrics["score"] == max(one.metrics["score"] for one in result)
    assert result.value == pytest.approx(9 * result.config["net"]["rate"])
    torch = pytest.importorskip("torch")
    with result.checkpoint.as_directory() as folder:
        state = torch.load(Path(folder, "state.pt"), weights_only=True)
    assert state["objects"]["weights"]["value"] == result.value
    assert str(result.config) in repr(result)


@pytest.mark.slow
def test_trials_share_a_process_but_no_variable(found):
    metrics = [event["metrics"] for event in found.events if event["event"] == "result"]
    assert {one["begun"] for one in metrics} == {0.0}
    assert len({one["process"] for one in metrics}) == 1


@pytest.mark.slow
def test_the_same_call_resumes_a_search_and_may_extend_it(found):
    options = {**found.options, "resume_or_start": True}
    space = {"net": {"rate": tc.uniform(0.0, 1.0)}, "act": ["relu", "gelu"]}
    again = tc.search(growing(), space, trials=10, **options)
    assert (len(again), again.complete) == (10, True)
    assert [one.config for one in again][:9] == [one.config for one in found.result]
    wider = {**space, "net": {"rate": tc.uniform(0.0, 2.0)}}
    with pytest.raises(ValueError, match=r"net/rate was .* here"):
        tc.search(growing(), wider, **options)


@pytest.mark.slow
def test_a_result_without_a_value_raises_with_the_error_of_the_first_trial(
    cluster_address, tmp_path, capsys
):
    def fail(config):
        raise KeyError(config["x"])

    grid = {"x": tune.grid_search([1, 2])}
    result = tc.search(fail, grid, metric="score", storage_path=str(tmp_path), max_concurrent=1)
    assert len(result) == 2, "each point of the grid"
    for name in ("config", "value", "checkpoint"):
        with pytest.raises(RuntimeError, match=r"no trial has .* trial 0 failed: .* 1"):
            getattr(result, name)
    assert "failed     trial 1" in capsys.readouterr().out
