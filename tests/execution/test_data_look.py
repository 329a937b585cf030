"""The look at the data before a study, and at its end what the best model never predicts."""

import json
import sys

import numpy as np
import pytest

from tests.in_process import Scored
from tune_cluster.cli import main
from tune_cluster.execution.data_look import look_at_data
from tune_cluster.reports.doctor.checks import examined
from tune_cluster.study.stored import read_study


@pytest.fixture
def rare(tmp_path):
    """Images of noise, of which 6% are of the class 1: accuracy is highest for one class."""
    generator = np.random.default_rng(0)
    labels = (np.arange(500) % 50 < 3).astype(np.int64)
    pixels = generator.integers(0, 256, (500, 8, 8)).astype(np.uint8)
    np.savez(tmp_path / "rare.npz", x=pixels, y=labels)
    return tmp_path / "rare.npz"


@pytest.mark.long
def test_a_study_with_a_rare_class_reports_it_before_its_first_trial_and_at_its_end(
    run_job, tmp_path, rare
):
    words = ("--dataset", str(rare), "--trials", "2", "--max-epochs", "2", "--name", "rare")
    code, output = run_job(*words, "--max-concurrent", "1")
    assert code == 0, output
    before, _, after = output.partition("finished ")
    if not after:
        before, _, after = output.partition("stopped ")
    assert "the classes are not balanced: 15" in before
    assert "recall" in before
    study = tmp_path / "results" / "rare"
    assert "data.html" in before
    page = (study / "data.html").read_text()
    assert "not balanced" in page
    assert "data:image/png;base64," in page
    about = json.loads((study / "study.json").read_text())
    assert any("not balanced" in one for one in about["notices"])
    assert set(about["leakage"]) == {
        *("validation in training", "test in training", "test in validation")
    }
    assert about["cluster_gpus"] == 1
    verdicts = {one.check: one.verdict for one in examined(read_study(study))}
    assert verdicts["gpus"] == "warn", "it is declared, and no trial was given it"
    best = json.loads((study / "best" / "best.json").read_text())
    assert best["held_out"]["predicted"]["1"] == 0, "the test needs such a model"
    assert "the best model predicts one class only, 0" in after
    assert "6" in after.partition("of which ")[2].partition("%")[0]
    code, output = run_job("--resume", str(study), "--trials", "3")
    assert code == 0, output
    assert "not balanced" not in output, "that is on the page of the study"
    assert (study / "data.html").read_text() == page
    resumed = json.loads((study / "study.json").read_text())
    assert resumed["leakage"] == about["leakage"]


@pytest.fixture
def shown(monkeypatch, capsys, tmp_path):
    """Runs `tune-cluster data` in the test's folder; `(exit code, output)`."""

    def call(*words):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["tune-cluster", "data", *words])
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = ended.code
        said = capsys.readouterr()
        return code, said.out + said.err

    return call


def test_the_data_command_prints_the_imbalance_and_writes_the_page(shown, tmp_path, rare):
    code, output = shown(str(rare), "--page", "look.html")
    assert code == 0, output
    assert "rare.npz, as image" in output.replace("\n", "")
    assert "not balanced" in output
    assert "data:image/png;base64," in (tmp_path / "look.html").read_text()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("nonsense",), ("as image: unknown dataset", "as text: ", "as table: unknown table")),
        (("digits", "--task", "table", "--predict", "hue"), ("hue",)),
        (("digits", "--brightness", "3"), ("it does not take --brightness 3",)),
    ],
)
def test_data_that_no_task_accepts_is_refused_with_the_reason_of_each_task(shown, words, told):
    code, output = shown(*words)
    assert code == 2
    assert output.count("\n") == 1
    assert all(text in output for text in told), output


def test_each_kind_of_file_is_read_by_its_task(shown, tmp_path):
    (tmp_path / "t.csv").write_text("a,b,target\n" + "1,x,yes\n2,y,no\n" * 30)
    code, output = shown("t.csv")
    assert code == 0, output
    assert "as table" in output
    assert "training samples are copies of others" in output.replace("\n", " ")
    assert (tmp_path / "data.html").is_file()
    (tmp_path / "r.csv").write_text("text,label\n" + "so good,yes\nso bad,no\n" * 30)
    code, output = shown("r.csv")
    assert code == 0, output
    assert "as text" in output


class Data:
    name = source = notice = fingerprint = ""
    search = ()


class Looking(Scored):
    def setup(self, config, data=None):
        pass

    @staticmethod
    def look(dataset):
        raise RuntimeError("no such column")


def test_a_look_at_the_data_that_fails_is_reported_and_fails_no_study(run_study, tmp_path):
    code, _, study = run_study(Looking, dataset=Data(), trials=2)
    assert code == 0
    assert (
        "the look at the data has failed: RuntimeError: no such column"
        in (tmp_path / "output").read_text()
    )
    assert not (study.directory / "data.html").exists()


def test_a_trainable_without_a_look_at_the_data_writes_no_page(run_study):
    code, _, study = run_study(Scored, trials=2)
    assert code == 0
    assert look_at_data(study) is None
    assert not (study.directory / "data.html").exists()
