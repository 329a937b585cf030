"""A study on a file of texts, from the command line to a prediction."""

import json

import numpy as np
import pytest

from tests.conftest import ROOT, table_of
from tests.trainables.text.member import as_csv, rows_of
from trainables.text.predictor import TextPredictor


@pytest.mark.long
def test_a_file_of_texts_becomes_a_network_that_can_be_used(run_job, tmp_path):
    as_csv(tmp_path / "own.csv", rows_of(240))
    arguments = ("--dataset", "own.csv", "--model", "bag", "--trials", "3", "--max-epochs", "3")
    job = ROOT / "tune_jobs" / "text_lstm.py"
    code, output = run_job(*arguments, "--name", "own", script=job)
    assert code == 0, output
    assert "texts are in column text, labels in column label" in output
    assert "on TF-IDF of words and pairs" in output
    study = tmp_path / "results" / "own"
    rows = table_of(study)
    assert len(rows) == 3
    assert all(float(row["padding_share"]) < 0.2 for row in rows)
    assert len(json.loads((study / "baselines.json").read_text())["test"]) == 2
    best = json.loads((study / "best" / "best.json").read_text())
    predict = TextPredictor(study / "best")
    texts, names = zip(*((row["text"], row["label"]) for row in rows_of(240)), strict=True)
    predicted = np.array(predict.class_names)[predict(texts).argmax(axis=1)]
    assert (predicted == np.array(names)).mean() > best["test"]["test_accuracy"] - 0.2
    # Another path with the same texts is the same dataset.
    as_csv(tmp_path / "moved.csv", rows_of(240))
    more = ("--resume", "results/own", "--dataset", "moved.csv", "--trials", "4")
    code, output = run_job(*more, script=job)
    assert code == 0, output
    assert len(table_of(study)) == 4
