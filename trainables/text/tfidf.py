"""A linear model on TF-IDF, the baseline of every study on texts (Wang and Manning 2012, *Baselines
and Bigrams: Simple, Good Sentiment and Topic Classification*)."""

import time
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from trainables.data.dataset import Part, SearchData, as_tensor
from trainables.prediction.baselines import EVERY_SCORE
from trainables.prediction.classification import Classes
from trainables.prediction.config import PredictionConfig
from trainables.prediction.regression import Numbers
from trainables.text.cleaning import cleaned
from trainables.text.config import TextConfig
from trainables.text.texts import Texts
from trainables.text.tokens import word_pattern

STRENGTHS = (3.0, 10.0, 1.0, 30.0, 0.3)
"""Inverse strengths of the regularization that are tried, in this order."""

SECONDS = 20.0
"""Time after which no other strength is tried."""


def linear_scores(
    data: SearchData[Texts], part: Part[Texts], *, seconds: float = SECONDS
) -> tuple[str, dict[str, float]]:
    """Train a logistic regression, or for numbers a ridge regression, on the training texts.

    Its features are the words and pairs of words, as `split` finds them after the default cleaning,
    of at least two training texts, with sublinear TF-IDF (scikit-learn's `TfidfVectorizer`). Of
    several strengths of its regularization the validation part chooses.

    Args:
        data: the texts.
        part: texts that are scored.
        seconds: time after which no other strength is tried.

    Returns:
        Its name, with the strength, and the scores of the task.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(analyzer=_words_and_pairs, sublinear_tf=True, min_df=2)
    train = vectorizer.fit_transform(_cleaned(data.train))
    validation = vectorizer.transform(_cleaned(data.validation))
    begun, best, tried = time.monotonic(), (np.inf, 0.0, None), 0
    for strength in STRENGTHS:
        if tried and time.monotonic() - begun > seconds:
            break
        model = _model(strength, classes=bool(data.classes))
        model.fit(train, data.train.targets)
        loss = _scores(data, data.validation, model, validation)["loss"]
        best, tried = min(best, (loss, strength, model), key=lambda found: found[0]), tried + 1
    loss, strength, model = best
    kind = "logistic regression" if data.classes else "ridge regression"
    name = f"{kind} on TF-IDF of words and pairs, C={strength:g} of {tried} tried"
    scores = _scores(data, part, model, vectorizer.transform(_cleaned(part)))
    if not data.classes:
        # It depends on the loss of a trial.
        del scores["loss"]
    return name, scores


def _cleaned(part: Part[Texts]) -> list[str]:
    return cleaned(part.inputs.strings(), TextConfig())


def _words_and_pairs(text: str) -> list[str]:
    words = word_pattern().findall(text)
    return words + [f"{a} {b}" for a, b in pairwise(words)]


def _model(strength: float, *, classes: bool) -> Any:
    from sklearn.linear_model import LogisticRegression, Ridge

    if classes:
        return LogisticRegression(C=strength, max_iter=1000)
    return Ridge(alpha=1 / strength, solver="sparse_cg")


def _scores(
    data: SearchData[Texts], part: Part[Texts], model: Any, features: Any
) -> dict[str, float]:
    train, targets = as_tensor(data.train.targets), as_tensor(part.targets)
    if data.classes:
        outputs = torch.from_numpy(np.asarray(model.predict_log_proba(features)))
        return Classes(EVERY_SCORE, train, data.classes).scores(outputs, targets)
    numbers = Numbers(PredictionConfig(loss="squared_error"), train)
    predicted = torch.from_numpy(np.asarray(model.predict(features)))
    return numbers.scores(numbers.outputs_of(predicted), numbers.targets(targets))
