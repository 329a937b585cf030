"""The image task as a trainable of Tune."""

from trainables.image.config import ImageConfig
from trainables.image.task import ImageData
from trainables.trainable import TaskTrainable


class ImageClassifier(TaskTrainable):
    """Trains a network on images, to predict classes or numbers, one epoch a step."""

    config_type = ImageConfig
    data_type = ImageData
    recorded_as = "trainables.image_classifier.ImageClassifier"
    """Module and name by which studies have recorded it since their first version."""
