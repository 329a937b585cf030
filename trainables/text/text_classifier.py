"""The task of texts as a trainable of Tune."""

from collections.abc import Callable
from typing import Any

from typing_extensions import override

from trainables.data.dataset import Dataset
from trainables.data.look import OwnLook
from trainables.text.config import TextConfig
from trainables.text.task import TextData
from trainables.text.texts import Texts
from trainables.text.tfidf import linear_scores
from trainables.trainable import TaskTrainable, named


class TextClassifier(TaskTrainable):
    """Trains a network on texts, to predict classes or numbers, one epoch a step."""

    task = "text"
    config_type = TextConfig
    data_type = TextData

    @classmethod
    @override
    def own_look(cls) -> OwnLook[Texts]:
        from trainables.text.look import LOOK

        return LOOK

    @classmethod
    @override
    def reader(cls) -> Callable[..., Dataset[Texts]]:
        from trainables.text.options import read

        return read

    @classmethod
    @override
    def baselines(
        cls, dataset: Dataset[Any], *, on_test: bool = False
    ) -> dict[str, dict[str, float] | str]:
        """Return the scores of simple predictors: a constant, and a linear model on TF-IDF."""
        found = super().baselines(dataset, on_test=on_test)
        part = dataset.test if on_test else dataset.search.validation
        name, scores = linear_scores(dataset.search, part)
        return {**found, name: named(scores, on_test)}
