import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs import BUDGETS, PLANS, Run, on_known_scale, read, write


def run(**changes):
    base = Run(
        plan="early",
        task="1",
        strategy="random",
        workers=4,
        seed=0,
        accuracy=[50.0] * BUDGETS,
        best=90.0,
        median=50.0,
        trials=7,
        wall=0.5,
    )
    return replace(base, **changes)


def test_a_missing_file_has_no_runs(tmp_path):
    assert read(tmp_path / "none.jsonl") == {}


def test_runs_are_read_as_they_were_written(tmp_path):
    path = tmp_path / "runs.jsonl"
    first, second = run(), run(task="2", seed=3)
    write(path, [first])
    write(path, [second])
    assert list(read(path).values()) == [first, second]


def test_a_run_whose_line_was_cut_off_is_run_again(tmp_path):
    path = tmp_path / "runs.jsonl"
    write(path, [run(), run(seed=1)])
    path.write_text(path.read_text()[:-30])
    assert list(read(path)) == [run().key]
    write(path, [run(seed=1), run(seed=2)])
    assert [key.seed for key in read(path)] == [0, 1, 2]


def test_a_line_that_is_no_run_is_refused_with_its_number(tmp_path):
    path = tmp_path / "runs.jsonl"
    path.write_text(json.dumps({"strategy": "random"}) + "\n")
    write(path, [run()])
    with pytest.raises(ValueError, match="line 1: no run"):
        read(path)


def test_a_run_is_written_as_soon_as_it_has_ended(tmp_path):
    path = tmp_path / "runs.jsonl"

    def runs():
        yield run()
        assert list(read(path)) == [run().key]
        raise RuntimeError("the machine is lost")

    with pytest.raises(RuntimeError, match="lost"):
        write(path, runs())
    assert list(read(path)) == [run().key]


def test_regret_is_0_at_the_best_point_and_1_at_the_median():
    assert run(accuracy=[50.0, 70.0, 90.0, 94.0]).regret == [1.0, 0.5, 0.0, -0.1]


def test_the_known_scale_begins_at_the_best_of_all_runs_on_the_task():
    runs = [run(accuracy=[94.0]), run(strategy="gp", accuracy=[60.0, 98.0]), run(task="2")]
    known = on_known_scale({one.key: one for one in runs})
    assert [one.best for one in known.values()] == [98.0, 98.0, 90.0]
    assert known[runs[1].key].regret[-1] == 0


@given(st.sampled_from(list(PLANS)))
def test_the_marks_of_a_plan_are_among_its_budgets(name):
    plan = PLANS[name]
    assert len(plan.budgets) == BUDGETS
    assert plan.budgets == sorted(set(plan.budgets))
    expected = [plan.trial_epochs * mark for mark in plan.marks]
    assert [plan.budgets[plan.at_mark(mark)] for mark in plan.marks] == expected
    assert plan.at_mark(plan.marks[-1]) == BUDGETS - 1
