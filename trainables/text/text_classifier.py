"""The task of texts as a trainable of Tune."""

from trainables.text.config import TextConfig
from trainables.text.task import TextData
from trainables.trainable import TaskTrainable


class TextClassifier(TaskTrainable):
    """Trains a network on texts, to predict classes or numbers, one epoch a step."""

    config_type = TextConfig
    data_type = TextData
