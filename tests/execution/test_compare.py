"""A comparison of strategies, up to its first study."""

import subprocess

import pytest

from tests.in_process import names
from tune_cluster.execution import compare
from tune_cluster.execution.command_line import parse


def job(options, *, strategy: str = "all", seeds: int = 1):
    """Which strategy?"""


@pytest.mark.parametrize("typed", [["--smoke-test"], ["--storage_path", "x", "--seed=3"], []])
def test_each_study_of_a_comparison_gets_the_flags_that_were_typed(tmp_path, monkeypatch, typed):
    called = []

    def start(words, check):
        called.append(words[2:])
        return subprocess.CompletedProcess(words, 0)

    monkeypatch.setattr(subprocess, "run", start)
    command = parse(job, typed)
    compare.run_one(command, typed, tmp_path, "tpe", 1, "host:1", 40)
    options = parse(job, called[0]).options
    assert (options.storage_path, options.name, options.seed) == (str(tmp_path), "tpe-1", 1)
    assert (options.epoch_budget, options.address, options.yes) == (40, "host:1", True)
    assert (options.trials is None) == options.smoke_test


def test_a_declined_comparison_leaves_no_file(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["compare.py", "--storage-path", str(tmp_path)])
    monkeypatch.setattr(compare, "confirmed", lambda *asked, **more: False)
    with pytest.raises(SystemExit) as ended:
        compare.compare(job, ["random", "tpe"], epoch_budget=4)
    assert ended.value.code == 130
    assert "studies   2, of up to 4 epochs each" in capsys.readouterr().out
    assert names(tmp_path) == []
