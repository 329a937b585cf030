"""The tasks: kinds of data on which a network can be trained here."""

from trainables.image.image_classifier import ImageClassifier
from trainables.trainable import TaskTrainable

TASKS: dict[str, type[TaskTrainable]] = {
    "image": ImageClassifier,
}
"""The trainable of each task, by the name of its folder."""
