import pytest
from pictures import band, drawn, picture

from tests.benchmarks.test_runs import run


def test_the_band_is_the_standard_error_over_the_tasks_at_each_budget():
    runs = [run(task="1", accuracy=[50.0, 90.0]), run(task="2", accuracy=[70.0, 90.0])]
    mean, error = band(runs)
    assert mean == pytest.approx([0.75, 0.0])
    assert error == pytest.approx([0.25, 0.0])


def test_a_picture_has_a_panel_for_each_number_of_workers(tmp_path):
    panels = {
        workers: {f"strategy {n}": [run(task="1"), run(task="2")] for n in range(12)}
        for workers in (1, 4)
    }
    path = tmp_path / "regret.svg"
    picture(panels, "early", path)
    text = path.read_text()
    assert text.startswith("<?xml")
    assert "<!-- 1 worker -->" in text
    assert "<!-- 4 workers -->" in text
    assert text.count("<!-- strategy 11 -->") == 1


def test_a_strategy_has_one_colour_in_all_panels():
    one, other = [run()], [run(strategy="other")]
    figure = drawn(
        {1: {"random": one, "other": other}, 4: {"other": other, "random": one}}, "early"
    )
    colours = [
        {line.get_label(): line.get_color() for line in place.get_lines()} for place in figure.axes
    ]
    assert colours[0] == colours[1]
    assert len({*colours[0].values()}) == 2
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["random", "other"]
