"""A comparison of strategies, up to its first study."""

import pytest

from tests.in_process import names
from tune_cluster.execution import compare


def job(options, *, strategy: str = "all", seeds: int = 1):
    """Which strategy?"""


def test_who_declines_leaves_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["compare.py", "--storage-path", str(tmp_path)])
    monkeypatch.setattr(compare, "confirmed", lambda *asked, **more: False)
    with pytest.raises(SystemExit) as ended:
        compare.compare(job, ["random", "tpe"], epoch_budget=4)
    assert ended.value.code == 130
    assert "studies   2, of up to 4 epochs each" in capsys.readouterr().out
    assert names(tmp_path) == []
