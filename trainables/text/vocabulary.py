"""Everything between a text and its ids: cleaning, a vocabulary, and a length."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainables.text.cleaning import cleaned
from trainables.text.tokens import BytePairs, Tokenizer, Words, padded

if TYPE_CHECKING:
    from trainables.text.config import TextConfig

CLEANING = (
    "clean_encoding",
    "clean_html",
    "clean_control",
    "unicode_form",
    "clean_urls",
    "lowercase",
    "clean_repeats",
)
TOKENS = (*CLEANING, "tokenizer")
"""Fields on which the tokens of a text depend."""

VOCABULARY_NAME = "0.vocabulary"
"""Name of the preparation in the state of a network."""

FORMAT = 1
"""Version of the JSON in a checkpoint."""


@dataclass(frozen=True, eq=False)
class Preparation:
    """A vocabulary with the cleaning before it and the length to which texts are cut."""

    config: TextConfig
    """A config; of its fields only `TOKENS` count, and may be there."""
    tokenizer: Tokenizer
    length: int
    """Number of ids of a text at most."""

    def rows_of(self, texts: Sequence[str]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Return the ids of texts as `padded` does, int32 `[n, length]` and int64 `[n]`."""
        return padded(self.tokenizer.ids_of(cleaned(texts, self.config)), self.length)

    def stored(self) -> Tensor:
        """Return it as a tensor, uint8 `[bytes]`: JSON in UTF-8, for a checkpoint, which has
        tensors and numbers alone."""
        content = {
            "format": FORMAT,
            **{name: getattr(self.config, name) for name in TOKENS},
            "length": self.length,
            "content": self.tokenizer.content(),
        }
        encoded = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
        return torch.frombuffer(bytearray(encoded), dtype=torch.uint8)

    @classmethod
    def from_stored(cls, tensor: Tensor) -> Preparation:
        """Make it again from a checkpoint's tensor.

        Raises:
            ValueError: the tensor was written by another version.
        """
        try:
            content: dict[str, Any] = json.loads(tensor.cpu().numpy().tobytes())
            config: Any = SimpleNamespace(**{name: content[name] for name in TOKENS})
            if content["format"] != FORMAT:
                raise ValueError(f"format {content['format']}")
            return cls(config, _made(config.tokenizer, content["content"]), int(content["length"]))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"its vocabulary is not one of this version ({error})") from None


def _made(kind: str, content: Any) -> Tokenizer:
    return BytePairs(content) if kind == "byte_pairs" else Words(kind, content)
