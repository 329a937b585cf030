"""Ensembles of a study's best trials, in real studies of small networks."""

import json
import shutil
from contextlib import ExitStack
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from ray import tune
from rich.console import Console

from search_spaces.catalogue import LEARNING_RATE
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.space import Space
from tests.conftest import ROOT
from trainables.data.dataset import Dataset, Part
from trainables.data.splits import prepared, with_test_set
from trainables.image.image_classifier import ImageClassifier
from trainables.image.images import Images
from tune_cluster import Options, TuneConfig, Tuner, run
from tune_cluster.ensembles.ensemble import Ensemble
from tune_cluster.execution.ensemble_record import read_record
from tune_cluster.execution.evaluate import evaluate
from tune_cluster.storage.s3 import S3Store
from tune_cluster.study.directory import StudyDirectory
from tune_cluster.study.study_file import read_study_file, write_study_file

NETWORK = {"hidden_sizes": (16,), "batch_size": 32, "dropout": 0.0, "patience": 0, "seed": 3}
LEAST = 4
"""Number of trials of the study."""


def images():
    """400 images in 4 classes that a network can nearly tell apart."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 4, 400).astype(np.int64)
    patterns = generator.integers(0, 60, (4, 1, 8, 8))
    pixels = (patterns[labels] + generator.integers(0, 190, (400, 1, 8, 8))).astype(np.uint8)
    whole = Part(Images(pixels), labels)
    return with_test_set(whole, class_names=("a", "b", "c", "d"), source="made up")


def job_on(dataset, **fixed):
    space = Space("rates", (LEARNING_RATE,)).fix(**{**NETWORK, "epochs": 2, **fixed})

    def job(options):
        return Tuner(
            ImageClassifier,
            tune_config=TuneConfig(
                metric="val_accuracy",
                mode="max",
                search_alg=RandomSearch(space, seed=options.seed, start_points=[{}]),
            ),
            dataset=dataset,
        )

    return job


@pytest.fixture(scope="module")
def dataset() -> Dataset[Images]:
    return prepared("made up", images(), seed=0, train_ratio=0.8)


@pytest.fixture(scope="module")
def studied(cluster_address, tmp_path_factory, dataset):
    """A study of five folds, of which three checkpoints are kept; its directory."""
    folder = tmp_path_factory.mktemp("folds")
    result = run(
        job_on(dataset, folds=5),
        **{"trials": LEAST, "max_epochs": 2, "keep_best": 3, "name": "folds"},
        **{"storage_path": str(folder), "address": cluster_address, "max_concurrent": 2},
    )
    return result.directory


@pytest.fixture
def evaluated(tmp_path, dataset):
    """Evaluate a copy of a study; `(directory, output, content of ensemble.json)`."""

    def call(study, top, job=None):
        copy = tmp_path / study.name
        if not copy.exists():
            shutil.copytree(study, copy)
        stored = json.loads((copy / "study.json").read_text())["flags"]
        options = Options(**{**stored, "resume": str(copy), "ensemble": top})
        with (tmp_path / "output").open("w") as file, ExitStack() as held:
            directory = StudyDirectory.find(str(copy), held)
            tuner = (job or job_on(dataset, folds=5))(options)
            evaluate(Console(file=file, width=200), tuner, options, directory)
        content = json.loads((copy / "ensemble" / "ensemble.json").read_text())
        return copy, (tmp_path / "output").read_text(), content

    return call


def test_a_study_with_folds_keeps_the_out_of_fold_predictions_of_its_best_trial(studied, dataset):
    best = json.loads((studied / "best" / "best.json").read_text())
    found = pq.read_table(studied / "best" / "predictions.parquet").to_pydict()
    assert found["row"] == list(range(320)), "every sample was held out once"
    assert found["target"] == dataset.search.targets.tolist()
    names = [f"p_{name}" for name in "abcd"]
    right = np.argmax([found[name] for name in names], axis=0) == found["target"]
    held_out = best["held_out"]
    assert held_out["out_of_fold"]
    assert held_out["scores"]["accuracy"] == pytest.approx(right.mean())
    # The mean over folds of equal size is the mean over all samples.
    assert held_out["scores"]["accuracy"] == pytest.approx(best["val_accuracy"])
    assert sum(held_out["targets"].values()) == 320


def test_ensembles_are_chosen_out_of_fold_and_scored_on_the_test_set(evaluated, studied, dataset):
    study, output, content = evaluated(studied, 3)
    names = [way["name"] for way in content["ways"]]
    assert names == ["best", "mean", "fitted", "greedy", "uniform soup", "greedy soup"]
    for way in content["ways"]:
        assert sum(way["weights"].values()) == pytest.approx(1)
        assert 0 < way["test"]["accuracy"] <= 1
    by_name = {way["name"]: way for way in content["ways"]}
    best = json.loads((study / "best" / "best.json").read_text())
    assert by_name["best"]["held_out"]["accuracy"] == pytest.approx(best["val_accuracy"])
    assert by_name["best"]["test"]["accuracy"] == pytest.approx(best["test"]["test_accuracy"])
    assert content["held_out"] == {"samples": 320, "of": 320, "out_of_fold": True}
    scores = {way["name"]: way["held_out"]["accuracy"] for way in content["ways"]}
    assert scores[content["chosen"]] == max(scores.values())
    assert "all 320 samples, each predicted by the network that was not trained" in output
    assert content["chosen"] in output
    kept = pq.read_table(study / "ensemble" / "predictions.parquet").to_pydict()
    assert len(kept["row"]) == 3 * 320
    assert {*kept["trial"]} == {member["trial"] for member in content["members"]}


def test_the_written_ensemble_predicts_with_the_reported_accuracy(evaluated, studied, dataset):
    study, _, content = evaluated(studied, 3)
    chosen = next(way for way in content["ways"] if way["name"] == content["chosen"])
    found = Ensemble.read(study / "ensemble").predict(ImageClassifier, dataset)
    accuracy = (found.predicted.argmax(axis=1) == found.targets).mean()
    assert accuracy == pytest.approx(chosen["test"]["accuracy"])
    assert found.targets.tolist() == dataset.test.targets.tolist()


def test_a_written_soup_predicts_with_the_reported_accuracy(
    evaluated, studied, dataset, monkeypatch
):
    """Whatever is the best here, the person may want this one."""
    monkeypatch.setattr("tune_cluster.execution.evaluate.chosen", lambda ways, _: ways[-2])
    study, _, content = evaluated(studied, 3)
    assert content["chosen"] == "uniform soup"
    ensemble = Ensemble.read(study / "ensemble")
    assert ensemble.weights == {"soup": 1.0}
    found = ensemble.predict(ImageClassifier, dataset)
    accuracy = (found.predicted.argmax(axis=1) == found.targets).mean()
    assert accuracy == pytest.approx(content["ways"][-2]["test"]["accuracy"])


def test_the_test_set_is_used_once_and_a_second_call_shows_the_record(
    evaluated, studied, monkeypatch
):
    study, first, content = evaluated(studied, 3)
    before = (study / "ensemble" / "ensemble.json").read_bytes()

    def used(*_, **__):
        raise AssertionError("predicted a second time")

    monkeypatch.setattr(ImageClassifier, "predict", used)
    _, second, _ = evaluated(study, 3)
    assert first.endswith(second)
    _, third, _ = evaluated(study, 2)
    assert "--top 2 was asked for" in third
    assert content["created"] in third
    assert (study / "ensemble" / "ensemble.json").read_bytes() == before


@pytest.mark.long
def test_an_evaluation_stays_when_the_study_is_extended_and_names_the_new_trials(
    evaluated, studied, cluster_address, dataset
):
    study, _, content = evaluated(studied, 3)
    result = run(
        job_on(dataset, folds=5),
        **{"resume": str(study), "trials": LEAST + 4, "address": cluster_address},
    )
    _, output, after = evaluated(study, 3)
    assert after == content
    table = result.get_dataframe().sort_values("val_accuracy", ascending=False, kind="stable")
    new = {*table["trial"][:3]} - {member["trial"] for member in content["members"]}
    assert new, "the test needs a better trial among those added"
    listed = output.partition("trials ")[2]
    assert "among the best by now" in listed
    assert all(f" {trial}" in listed for trial in new)


def test_a_missing_checkpoint_is_named_with_the_flag_that_keeps_it(evaluated, studied):
    _, output, content = evaluated(studied, LEAST)
    assert len(content["members"]) == 3
    (missing,) = content["missing"].values()
    assert "is not kept" in missing
    assert "3 best trials" in missing
    assert "--keep-best" in output


def test_a_damaged_checkpoint_is_replaced_by_the_next_best_ones(evaluated, studied, tmp_path):
    copy = tmp_path / studied.name
    shutil.copytree(studied, copy)
    best = json.loads((copy / "best" / "best.json").read_text())
    (record,) = (copy / "trials" / f"{best['trial']:04d}").glob("checkpoint_*/result.json")
    record.write_text("{")
    _, _, content = evaluated(copy, 3)
    assert best["trial"] not in {member["trial"] for member in content["members"]}
    assert "damaged" in content["missing"][str(best["trial"])]


def test_other_data_and_another_trainable_are_refused(evaluated, studied, dataset):
    other = prepared("made up", images(), seed=1, train_ratio=0.8)
    with pytest.raises(ValueError, match="other data"):
        evaluated(studied, 3, job_on(other, folds=5))

    class Another(ImageClassifier):
        recorded_as = "another.Trainable"

    def job(options):
        return replace(job_on(dataset, folds=5)(options), trainable=Another)

    with pytest.raises(ValueError, match="trainable was"):
        evaluated(studied, 3, job)


class Own(tune.Trainable):
    """Predicts numbers, and averages no weights."""

    def setup(self, config, data=None):
        self.value = config["learning_rate"]

    def step(self):
        return {"val_rmse": abs(self.value - 0.1)}

    def save_checkpoint(self, checkpoint_dir):
        pass

    def load_checkpoint(self, checkpoint_dir):
        pass


class Predicting(Own):
    @staticmethod
    def predict(config, checkpoint_dir, dataset, part):
        if part == "test":
            return None
        rows = np.arange(20)
        return {"rows": rows, "targets": np.sin(rows), "predicted": np.sin(rows) + rates(config)}


def rates(config):
    return config["learning_rate"] - 0.1


def own_job(trainable):
    def job(options):
        searcher = RandomSearch(Space("own", (LEARNING_RATE,)), seed=0)
        return Tuner(
            trainable, tune_config=TuneConfig(metric="val_rmse", mode="min", search_alg=searcher)
        )

    return job


@pytest.fixture(scope="module")
def of_own(cluster_address, tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    result = run(
        own_job(Predicting),
        **{"trials": 3, "max_epochs": 1, "name": "own", "storage_path": str(folder)},
        **{"address": cluster_address, "max_concurrent": 2},
    )
    return result.directory


def test_a_users_trainable_needs_predict_alone(evaluated, of_own):
    _, _, content = evaluated(of_own, 3, own_job(Predicting))
    assert [way["name"] for way in content["ways"]] == ["best", "mean", "fitted", "greedy"]
    assert content["criterion"] == {"score": "rmse", "mode": "min"}
    assert all(way["test"] == {} for way in content["ways"]), "it has no test set"


def test_a_trainable_without_predict_is_refused_with_the_signature_it_needs(
    evaluated, of_own, monkeypatch
):
    monkeypatch.delattr(Predicting, "predict")
    with pytest.raises(ValueError, match=r"has no predict\(config, checkpoint_dir, dataset, part"):
        evaluated(of_own, 3, own_job(Predicting))


def test_an_error_of_predict_names_the_trial(evaluated, of_own, monkeypatch):
    def broken(*_):
        raise RuntimeError("no such layer")

    monkeypatch.setattr(Predicting, "predict", staticmethod(broken))
    with pytest.raises(ValueError, match=r"trial 000[0-2]: its predict\(\) has failed: .*no such"):
        evaluated(of_own, 3, own_job(Predicting))


@pytest.mark.long
def test_evaluate_is_a_command_of_tune_cluster(whole_study, run_job, tmp_path):
    study = tmp_path / "whole"
    shutil.copytree(whole_study, study)
    code, output = run_job("--top", "3", script=("-m", "tune_cluster", "evaluate", str(study)))
    assert code == 0, output
    assert "uniform soup" in output
    assert (study / "ensemble" / "ensemble.json").is_file()
    code, output = run_job("--ensemble", "3")
    assert code == 2
    assert "--resume STUDY" in output


@pytest.mark.long
def test_the_example_of_a_trainable_with_folds_becomes_an_ensemble(run_job, tmp_path):
    example = ROOT / "examples" / "own_folds.py"
    words = ("--trials", "3", "--max-epochs", "2", "--name", "folds")
    code, output = run_job(*words, script=example)
    assert code == 0, output
    assert "out of fold" in output
    study = tmp_path / "results" / "folds"
    rows = pq.read_table(study / "best" / "predictions.parquet")["row"].to_pylist()
    assert rows == list(range(1438))
    command = ("-m", "tune_cluster", "evaluate", str(study))
    code, output = run_job("--top", "2", script=command)
    assert code == 0, output
    content = json.loads((study / "ensemble" / "ensemble.json").read_text())
    assert content["held_out"]["out_of_fold"]
    assert content["ways"][0]["test"]["accuracy"] > 0.5


def test_the_evaluation_record_of_a_study_in_a_bucket_is_read_on_every_machine(
    evaluated, of_own, bucket, tmp_path
):
    """The journal of this machine's copy is that of the bucket, and nothing is downloaded anew."""
    study, _, content = evaluated(of_own, 3, own_job(Predicting))
    store = S3Store(f"{bucket}/results/own")
    other = StudyDirectory(tmp_path / "other", bucket=store)
    assert read_record(other) is None
    record = study / "ensemble" / "ensemble.json"
    store.write("ensemble/ensemble.json", record.read_bytes())
    assert read_record(other) == content


def test_an_audit_is_not_evaluated(evaluated, of_own, tmp_path):
    copy = tmp_path / of_own.name
    shutil.copytree(of_own, copy)
    about = read_study_file(copy)
    write_study_file(copy, {**about, "audits": {"study": "first", "share": 0.5}})
    with pytest.raises(ValueError, match="an audit"):
        evaluated(copy, 3, own_job(Predicting))
