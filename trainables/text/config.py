"""Hyperparameters of a network on texts, in addition to those of every prediction."""

import importlib.util
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, Field, Strict, model_validator
from pydantic.dataclasses import dataclass
from typing_extensions import Self

from trainables.prediction.config import PredictionConfig
from trainables.training.config import CHECKS, Count, Flag, Number, Share, refuse

EXTRA = "tune-cluster[text]"
"""Extra with the libraries of byte pairs, broken encodings and WordNet."""

WORDNET = "wordnet"
"""Value of `synonyms` that stands for WordNet."""


def _even(size: int) -> int:
    if size % 2:
        raise ValueError("should be even")
    return size


Path: TypeAlias = Annotated[str, Strict()]


@dataclass(frozen=True, kw_only=True, config=CHECKS)
class TextConfig(PredictionConfig):
    """Configuration of a network on texts; raises as `TrainingConfig`."""

    # Cleaning.
    clean_encoding: Flag = False
    """Whether UTF-8 that was read as another encoding is repaired, such as Ã© to é."""
    clean_html: Flag = True
    """Whether tags are removed and entities replaced, such as `&amp;`."""
    clean_control: Flag = True
    """Whether control characters and invisible marks are removed."""
    unicode_form: Literal["none", "nfc", "nfkc"] = "nfkc"
    """Unicode normalisation: "nfc" composes letters and accents, "nfkc" also replaces forms of
    one character by one, such as letters of full width."""
    clean_urls: Flag = False
    """Whether URLs are removed."""
    lowercase: Flag = True
    """Whether upper case becomes lower case."""
    clean_repeats: Flag = False
    """Whether a character, not a digit, that is repeated more than twice is kept twice."""

    # Tokens.
    tokenizer: Literal["words", "characters", "byte_pairs"] = "words"
    """Units of a text: words (in scripts without spaces characters), characters, or byte pairs."""
    min_count: Count = 2
    """Occurrences in the training texts from which a token, or a merge of byte pairs, is known."""
    vocabulary_size: Annotated[Count, Field(ge=300)] = 20_000
    """Largest number of known tokens; the most frequent are kept."""
    length_quantile: Annotated[Number, Field(gt=0, le=1)] = 0.98
    """Share of the training texts that are not truncated."""
    max_length: Count = 256
    """Largest number of tokens of a text, whatever `length_quantile` would keep."""

    # The network.
    model: Literal["bag", "lstm", "transformer"] = "lstm"
    """Kind of network: the mean of embeddings, a recurrent network, or a transformer's encoder."""
    embedding_size: Annotated[Count, AfterValidator(_even)] = 128
    """Size of a token's vector, even."""
    hidden_size: Count = 128
    """Units of the LSTM in each direction; only for the LSTM."""
    layers: Count = 1
    """Layers of the LSTM or of the transformer; not for the bag."""
    bidirectional: Flag = True
    """Whether the LSTM reads a text in both directions; only for the LSTM."""
    heads: Count = 4
    """Attention heads of a layer; divides `embedding_size`; only for the transformer."""
    embeddings: Path = ""
    """Path of pretrained vectors, a text file of word2vec or GloVe; empty: random vectors."""

    # Regularization.
    dropout: Share = 0.1
    """Share of the units set to zero in training: before the head, between the layers of an LSTM,
    and in a transformer."""
    embedding_dropout: Share = 0.0
    """Share of the known tokens whose vector is zero for a whole batch."""
    deletion_share: Share = 0.0
    """Share of the tokens of a training text that are left out, newly drawn in each epoch."""
    swap_share: Share = 0.0
    """Share of the tokens of a training text that change places with another one."""
    synonym_share: Share = 0.0
    """Share of the tokens of a training text that are replaced by a synonym, where they have one;
    only with `synonyms`."""
    synonyms: Path = ""
    """"wordnet", or the path of a file with a word and its synonyms in each line, separated by tabs
    or commas."""
    paraphrase_share: Share = 0.0
    """Share of the training texts that have paraphrases and are replaced by one, newly drawn in
    each epoch; only with `paraphrases`."""
    paraphrases: Path = ""
    """Path of a CSV or JSONL file with the columns `text`, a training text, and `paraphrase`, such
    as its back translation."""

    @model_validator(mode="after")
    def _check_text(self) -> Self:
        refuse(
            {
                f"heads must divide embedding_size: got {self.heads} and {self.embedding_size}": (
                    self.model == "transformer" and self.embedding_size % self.heads != 0
                ),
                f"synonym_share needs synonyms, {WORDNET!r} or a file: got {self.synonym_share} "
                "and none": self.synonym_share > 0 and not self.synonyms,
                f"synonym_share needs tokenizer 'words': got {self.tokenizer!r}": (
                    self.synonym_share > 0 and self.tokenizer != "words"
                ),
                f"paraphrase_share needs paraphrases, a file: got {self.paraphrase_share} and "
                "none": self.paraphrase_share > 0 and not self.paraphrases,
                f"embeddings needs tokenizer 'words' or 'characters': got {self.tokenizer!r}": (
                    bool(self.embeddings) and self.tokenizer == "byte_pairs"
                ),
                f"tokenizer 'byte_pairs' needs the package tokenizers: pip install '{EXTRA}'": (
                    self.tokenizer == "byte_pairs" and not _installed("tokenizers")
                ),
                f"clean_encoding needs the package ftfy: pip install '{EXTRA}'": (
                    self.clean_encoding and not _installed("ftfy")
                ),
                f"synonyms {WORDNET!r} needs the package nltk: pip install '{EXTRA}'": (
                    self.synonyms == WORDNET and not _installed("nltk")
                ),
            }
        )
        return self


def _installed(package: str) -> bool:
    try:
        return importlib.util.find_spec(package) is not None
    except ImportError:
        return False
