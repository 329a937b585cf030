"""The documentation's example of a user's callback."""

import runpy

import pytest

from tests.conftest import ROOT


@pytest.mark.long
def test_each_new_best_value_is_a_line(cluster_address, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(ROOT / "examples" / "own_callback.py"), run_name="__main__")
    lines = (tmp_path / "new_best.txt").read_text().splitlines()
    values = [float(line.split(": ")[1].split()[0]) for line in lines]
    assert len(values) > 1
    assert values == sorted(values, reverse=True)
