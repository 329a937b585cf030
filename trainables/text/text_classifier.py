"""The task of texts as a trainable of Tune."""

from collections.abc import Callable

from typing_extensions import override

from trainables.data.dataset import Dataset
from trainables.data.look import OwnLook
from trainables.text.config import TextConfig
from trainables.text.task import TextData
from trainables.text.texts import Texts
from trainables.trainable import TaskTrainable


class TextClassifier(TaskTrainable):
    """Trains a network on texts, to predict classes or numbers, one epoch a step."""

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
