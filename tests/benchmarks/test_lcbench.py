import sys

import lcbench
import pytest
from lcbench import TASKS, missing_runs, run_of
from replay import Curve
from runs import PLANS, Key, read, write
from surrogate import EPOCHS, Scale

from tests.benchmarks.test_runs import run


class Stub:
    """A surrogate of one curve: the learning rate decides."""

    tasks = ("1", "2", "3")

    def __init__(self, folder=None):
        self.asked = []

    def curve(self, task, config):
        self.asked.append(task)
        return [100 * config["learning_rate"] * epoch / EPOCHS for epoch in range(1, EPOCHS + 1)]

    def scale(self, task):
        return Scale(10.0, 1.0)

    def trial(self, task, config):
        return Curve(self.curve(task, config), [1.0] * EPOCHS)

    def noisy_trial(self, task, config, rng):
        true = self.curve(task, config)
        told = [value + rng.normal() for value in true]
        return Curve(told, [1.0] * EPOCHS, noiseless=true)


@pytest.fixture
def _stub(monkeypatch):
    monkeypatch.setattr(lcbench, "Surrogate", Stub)
    lcbench._surrogate.cache_clear()
    lcbench._scale.cache_clear()
    yield
    lcbench._surrogate.cache_clear()
    lcbench._scale.cache_clear()


def key(**changes):
    base = Key("early", "1", "random", 4, 0)
    return base._replace(**changes)


def test_a_run_spends_the_budget_of_its_plan():
    found = run_of(Stub(), key(), Scale(10.0, 1.0))
    assert len(found.accuracy) == len(PLANS["early"].budgets)
    assert found.accuracy == sorted(found.accuracy)
    assert found.trials == 12
    assert found.regret[-1] == pytest.approx((10 - found.accuracy[-1]) / 9)


def test_a_full_plan_has_40_trials_whatever_the_workers():
    assert run_of(Stub(), key(plan="full", workers=16), Scale(10.0, 1.0)).trials == 40


def test_a_noisy_run_counts_the_noiseless_accuracy():
    noisy = run_of(Stub(), key(plan="noisy", workers=1), Scale(10.0, 1.0))
    full = run_of(Stub(), key(plan="full", workers=1), Scale(10.0, 1.0))
    assert noisy.accuracy != full.accuracy
    assert max(noisy.accuracy) <= max(full.accuracy)


@pytest.mark.usefixtures("_stub")
def test_runs_in_the_file_are_not_run_again(tmp_path):
    known = {run().key: run()}
    keys = [key(seed=seed) for seed in range(3)]
    found = list(missing_runs(tmp_path, keys, known, processes=1))
    assert [one.seed for one in found] == [1, 2]
    # The scale of a task is the one that the file has.
    assert {one.best for one in found} == {run().best}


@pytest.mark.usefixtures("_stub")
def test_a_second_call_adds_nothing_and_prints_the_same(tmp_path, monkeypatch, capsys):
    path = tmp_path / "runs.jsonl"
    words = ["lcbench", str(path), "--data", str(tmp_path), "--strategies", "random,random+asha_3"]
    monkeypatch.setattr(sys, "argv", [*words, "--seeds", "2", "--workers", "1,2", "--tasks", "all"])
    lcbench.main()
    written, printed = path.read_text(), capsys.readouterr().out
    assert len(read(path)) == 3 * 2 * 2 * 2
    assert "| random+asha_3 | 3 | 6 |" in printed
    assert "plan early, 1 workers" in printed
    lcbench.main()
    assert path.read_text() == written
    assert capsys.readouterr().out == printed


@pytest.mark.usefixtures("_stub")
def test_the_known_scale_uses_the_best_accuracy_in_the_file(tmp_path, monkeypatch, capsys):
    path = tmp_path / "runs.jsonl"
    write(path, [run(strategy="sobol", task="2", accuracy=[99.0] * 40, best=10.0, median=1.0)])
    words = ["lcbench", str(path), "--data", str(tmp_path), "--seeds", "1", "--known"]
    monkeypatch.setattr(sys, "argv", [*words, "--strategies", "random"])
    lcbench.main()
    assert "| sobol | 1 | 1 | 0.000 ± 0.000 |" in capsys.readouterr().out


@pytest.mark.usefixtures("_stub")
def test_a_picture_shows_the_named_strategies_alone(tmp_path, monkeypatch):
    path, drawn = tmp_path / "runs.jsonl", tmp_path / "regret.svg"
    write(path, [run(strategy="sobol", task="2")])
    words = ["lcbench", str(path), "--data", str(tmp_path), "--seeds", "1", "--picture", str(drawn)]
    monkeypatch.setattr(sys, "argv", [*words, "--strategies", "random"])
    lcbench.main()
    assert "<!-- random -->" in drawn.read_text()
    assert "<!-- sobol -->" not in drawn.read_text()


@pytest.mark.usefixtures("_stub")
def test_an_unknown_strategy_is_refused_before_anything_runs(tmp_path, monkeypatch, capsys):
    words = ["lcbench", str(tmp_path / "runs.jsonl"), "--data", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", [*words, "--strategies", "random,guess"])
    with pytest.raises(SystemExit):
        lcbench.main()
    assert "strategy guess" in capsys.readouterr().err
    assert not (tmp_path / "runs.jsonl").exists()


def test_tuned_and_held_out_tasks_are_disjoint_and_cover_all_tasks():
    tasks = list(range(34))
    parts = tasks[TASKS["tuned"]], tasks[TASKS["held_out"]]
    assert [len(part) for part in parts] == [17, 17]
    assert sorted(parts[0] + parts[1]) == tasks[TASKS["all"]]
