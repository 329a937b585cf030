"""The named spaces: one for each question that a job asks."""

from search_spaces.catalogue import BATCH_SIZE, LEARNING_RATE
from search_spaces.space import Space

LR_BATCH = Space("lr_batch", (LEARNING_RATE, BATCH_SIZE))
"""Which learning rate goes with which batch size? The first study of any model."""

LR = Space("lr", (LEARNING_RATE,))
"""Which learning rate, and when? For schedules."""
