"""Named search spaces of tables."""

from dataclasses import replace

from search_spaces import catalogue
from search_spaces.space import Space
from search_spaces.spaces import nuisance

TABLE = Space(
    "table",
    (
        replace(catalogue.TABLE_MODEL, values=("mlp", "resnet")),
        catalogue.HIDDEN_SIZES,
        catalogue.WIDTH,
        catalogue.BLOCKS,
        catalogue.LEARNING_RATE_ADAPTIVE,
        catalogue.BATCH_SIZE,
        nuisance(catalogue.DROPOUT),
        nuisance(catalogue.WEIGHT_DECAY),
    ),
    fixed=(("optimizer", "adamw"),),
)
"""Which network predicts a table best, and how is it trained?"""
