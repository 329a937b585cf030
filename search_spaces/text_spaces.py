"""Named search spaces of texts."""

from dataclasses import replace

from search_spaces import catalogue
from search_spaces.space import Space
from search_spaces.spaces import nuisance, scientific

TEXT = Space(
    "text",
    (
        catalogue.TEXT_MODEL,
        catalogue.EMBEDDING_SIZE,
        catalogue.HIDDEN_SIZE,
        replace(catalogue.LAYERS, values=(1, 2)),
        nuisance(catalogue.LEARNING_RATE_ADAPTIVE),
        replace(catalogue.BATCH_SIZE, values=(16, 32, 64, 128), default=32),
        scientific(catalogue.TEXT_DROPOUT),
        scientific(catalogue.EMBEDDING_DROPOUT),
        catalogue.MIN_COUNT,
    ),
    fixed=(("optimizer", "adam"),),
)
"""Which network tells texts apart best, and how is it trained?"""

TEXT_FINE_TUNING = Space(
    "text_fine_tuning",
    (
        nuisance(catalogue.LEARNING_RATE_ADAPTIVE),
        scientific(catalogue.FREEZE_EPOCHS),
        scientific(catalogue.TEXT_DROPOUT),
        scientific(catalogue.EMBEDDING_DROPOUT),
        replace(catalogue.BATCH_SIZE, values=(16, 32, 64, 128), default=32),
    ),
    fixed=(("optimizer", "adam"),),
)
"""How is a pretrained network on texts fine-tuned on others? The job gives `pretrained`."""
