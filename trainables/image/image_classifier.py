"""The image task as a trainable of Tune."""

from collections.abc import Callable

from typing_extensions import override

from trainables.data.dataset import Dataset
from trainables.data.look import OwnLook
from trainables.image.config import ImageConfig
from trainables.image.images import Images
from trainables.image.task import ImageData
from trainables.trainable import TaskTrainable


class ImageClassifier(TaskTrainable):
    """Trains a network on images, to predict classes or numbers, one epoch a step."""

    task = "image"
    config_type = ImageConfig
    data_type = ImageData
    recorded_as = "trainables.image_classifier.ImageClassifier"
    """Module and name by which studies have recorded it since their first version."""

    @classmethod
    @override
    def own_look(cls) -> OwnLook[Images]:
        from trainables.image.look import LOOK

        return LOOK

    @classmethod
    @override
    def reader(cls) -> Callable[..., Dataset[Images]]:
        from trainables.image.options import read

        return read
