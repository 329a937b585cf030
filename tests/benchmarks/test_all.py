import sys

import all as all_benchmarks
import pytest

ROW = {"case": "new", "metric": "seconds", "value": 1234.5, "unit": "s"}
RESULT = {"rows": [ROW], "hardware": {"cpu": "one"}, "versions": {"python": "3"}}


@pytest.fixture
def figures(tmp_path, monkeypatch):
    path = tmp_path / "figures.md"
    path.write_text(
        f"{all_benchmarks.TITLE}\n## rules\n\nold\n\n## By hand\n\nwritten\n\n## peers\n\nkept\n"
    )
    monkeypatch.setattr(all_benchmarks, "FIGURES", path)
    monkeypatch.setattr(all_benchmarks, "measured", lambda name, quick: RESULT)
    return path


def test_a_section_is_replaced_in_its_place_and_all_others_stay(figures, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["all", "rules", "gpu"])
    all_benchmarks.main()
    text = figures.read_text()
    assert text.startswith(all_benchmarks.TITLE)
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    assert headings == ["## rules", "## By hand", "## peers", "## gpu"]
    assert "old" not in text
    assert "written" in text
    assert text.count("| new | seconds | 1,234 s |") == 2


def test_a_quick_run_leaves_the_figures_as_they_are(figures, monkeypatch):
    before = figures.read_text()
    monkeypatch.setattr(sys, "argv", ["all", "rules", "--quick"])
    all_benchmarks.main()
    assert figures.read_text() == before
