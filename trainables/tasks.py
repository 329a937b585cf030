"""The tasks: kinds of data on which a network can be trained here."""

from trainables.image.image_classifier import ImageClassifier
from trainables.table.table_network import TableNetwork
from trainables.text.text_classifier import TextClassifier
from trainables.trainable import TaskTrainable

TASKS: dict[str, type[TaskTrainable]] = {
    "image": ImageClassifier,
    "table": TableNetwork,
    "text": TextClassifier,
}
"""The trainable of each task, by the name of its folder."""
