"""What a study is compared with: shown before it, beside its best, and kept."""

import io
import json

import pytest
from rich.console import Console

from tests.in_process import Scored, study_in
from tune_cluster.execution.baselines import (
    known_baselines,
    plan_lines,
    summary_lines,
    write_baselines,
)
from tune_cluster.study.baselines import BASELINES_FILE


class Data:
    name, notice, source, fingerprint, search = "made up", "", "here", "f", None


class Compared(Scored):
    calls: list[bool] = []  # noqa: RUF012

    def setup(self, config, data=None):
        pass

    @staticmethod
    def baselines(dataset, *, on_test):
        Compared.calls.append(on_test)
        part = "test" if on_test else "val"
        return {"a constant": {"score": 0.5, f"{part}_loss": float("nan")}, "trees": "are missing"}


class Failing(Compared):
    @staticmethod
    def baselines(dataset, *, on_test):
        raise RuntimeError("no trees\nat all")


BEST = {"score": 0.7, "metrics": {"score": 0.7, "epoch": 1}}


@pytest.fixture(autouse=True)
def _counted():
    Compared.calls.clear()


def study_of(directory, trainable=Compared, **rest):
    return study_in(directory, trainable=trainable, dataset=Data(), **rest)


def text(lines):
    return "\n".join(f"{name} {said}" for name, said in lines)


def test_baselines_are_in_the_plan_and_computed_once(tmp_path):
    study = study_of(tmp_path)
    assert "score 0.5000: a constant" in text(plan_lines(study))
    assert "trees are missing" in text(plan_lines(study))
    assert "nan" not in text(plan_lines(study))
    write_baselines(study)
    assert Compared.calls == [False]
    # A resumed study has those of its first session.
    assert known_baselines(tmp_path, Compared, Data()) == study.baselines
    assert Compared.calls == [False]


def test_baselines_on_the_test_set_are_computed_only_after_the_study_has_used_it(tmp_path):
    study = study_of(tmp_path)
    write_baselines(study)
    assert Compared.calls == [False]
    assert text(summary_lines(study, BEST)).count("a constant") == 1
    assert Compared.calls == [False]
    for _ in range(2):
        found = text(summary_lines(study, {**BEST, "test": {"score": 1}}))
        assert found.count("a constant") == 2
    assert Compared.calls == [False, True]
    kept = json.loads((tmp_path / BASELINES_FILE).read_text())
    assert kept["validation"]["a constant"] == {"score": 0.5}
    assert set(kept) == {"validation", "test"}


@pytest.mark.parametrize(("score", "notices"), [(0.7, 0), (0.5, 1), (0.3, 1)])
def test_a_best_trial_no_better_than_a_baseline_is_a_notice(tmp_path, score, notices):
    best = {"score": score, "metrics": {"score": score}}
    found = text(summary_lines(study_of(tmp_path), best))
    assert found.count("NOTICE") == notices
    assert f"best has score {score:.4f}" in found


def test_a_failing_baseline_is_reported_and_fails_no_study(tmp_path):
    study = study_of(tmp_path, Failing)
    (line,) = plan_lines(study)
    assert "RuntimeError: no trees" in line[1]
    assert "at all" not in line[1]
    assert list(summary_lines(study, BEST)) == []


def test_a_trainable_without_baselines_prints_none(tmp_path):
    study = study_in(tmp_path)
    assert (study.baselines, [*plan_lines(study)], [*summary_lines(study, BEST)]) == ({}, [], [])
    write_baselines(study)
    assert not (tmp_path / BASELINES_FILE).exists()


def test_a_study_without_a_result_prints_no_baseline(tmp_path):
    assert list(summary_lines(study_of(tmp_path), None)) == []


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"validation": {"x": [1]}}'])
def test_a_damaged_baselines_file_is_computed_anew(tmp_path, content):
    (tmp_path / BASELINES_FILE).write_text(content)
    assert known_baselines(tmp_path, Compared, Data())["a constant"] == {"score": 0.5}


@pytest.mark.long
def test_a_study_on_a_table_prints_and_keeps_its_baselines(tmp_path, monkeypatch):
    pytest.importorskip("lightgbm")
    import tune_cluster
    from tune_cluster.execution import launcher
    from tune_jobs.table_regression import job

    said = io.StringIO()
    monkeypatch.setattr(
        launcher, "Console", lambda **_: Console(file=said, width=200, force_terminal=False)
    )
    result = tune_cluster.run(
        job, smoke_test=True, storage_path=str(tmp_path), name="table", max_concurrent=1
    )
    assert result.best["val_rmse"] > 0
    printed = said.getvalue()
    for part in ("val_rmse", "test_rmse"):
        for name in ("LightGBM", "always the mean"):
            lines = [line for line in printed.splitlines() if name in line and part in line]
            # In the plan and in the summary, or in the summary alone.
            assert len([line for line in lines if "NOTICE" not in line]) == (
                2 if part == "val_rmse" else 1
            )
    kept = json.loads((tmp_path / "table" / BASELINES_FILE).read_text())
    assert {*kept} == {"validation", "test"}
    assert all("rmse" in "".join(scores) for part in kept.values() for scores in part.values())
