"""Options of text jobs: data, network, and files that the network is made with."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import tyro

from trainables.data.dataset import Dataset, SearchData
from trainables.text.config import WORDNET
from trainables.text.datasets import DATASETS, DEFAULT_DATASET, load_dataset
from trainables.text.own_texts import Kind
from trainables.text.texts import Texts
from trainables.text.vocabulary import TOKENS
from trainables.text.word_files import dimensions_of
from trainables.training.state import STATE_FILE

EPOCHS = 9
"""Epochs of a trial in text jobs unless the user gives them: networks on some thousand texts
overfit within five."""

FINE_TUNING_EPOCHS = 4
"""The same with pretrained weights, for which 3 to 5 are enough."""

SMOKE_TEXTS = 200
"""Number of texts to train and validate on, and to test on, in a smoke test without `--dataset`."""

DEFAULT_MODEL = "lstm"

NETWORK = ("model", "embedding_size", "hidden_size", "layers", "bidirectional", "heads")

FILES = ("embeddings", "synonyms", "paraphrases", "pretrained")
"""Hyperparameters whose values are files that flags of their own name."""

BEST_FILE = "best.json"


@dataclass(frozen=True, kw_only=True)
class TextFlags:
    """Command-line flags for the texts and the network of a study."""

    resumable: ClassVar[tuple[str, ...]] = ("dataset", "data_dir")
    """Flags that may change in a resume: the content must be equal, which is checked."""
    dataset: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="TEXTS",
            help="A .csv, .tsv or .jsonl file, a folder with such files train and test or with a "
            f"folder of .txt files for each class, or one of {', '.join(DATASETS)}. Default: "
            f"{DEFAULT_DATASET}.",
        ),
    ] = None
    data_dir: Path = Path("data")
    """Folder of the datasets."""
    text_column: Annotated[str | None, tyro.conf.arg(metavar="COLUMN")] = None
    """Column of the texts. Default: the one that is called text, sentence, review and so on."""
    label_column: Annotated[str | None, tyro.conf.arg(metavar="COLUMN")] = None
    """Column of the labels. Default: the one that is called label, class, category and so on."""
    targets: Kind | None = None
    """Whether labels are classes or numbers. Default: numbers, if more than 20 differ or one has a
    fraction."""
    model: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """bag, lstm or transformer. Default: lstm."""
    embeddings: Path | None = None
    """Pretrained vectors, a text file of word2vec or GloVe."""
    synonyms: Annotated[str | None, tyro.conf.arg(metavar="FILE")] = None
    """wordnet, or a file with a word and its synonyms in each line."""
    paraphrases: Path | None = None
    """File with the columns text and paraphrase, such as back translations of training texts."""
    pretrained: Path | None = None
    """Weights to fine-tune: the best folder of an earlier study on texts."""

    @property
    def default_epochs(self) -> int:
        """Epochs of a trial unless the user gives them."""
        return EPOCHS if self.pretrained is None else FINE_TUNING_EPOCHS

    def load(
        self, *, seed: int, smoke_test: bool = False, train_ratio: float = 0.8
    ) -> Dataset[Texts]:
        """Read and split the texts; a smoke test of a known dataset uses few of them.

        Raises:
            ValueError: as `load_dataset`.
        """
        few = smoke_test and self.dataset is None
        return load_dataset(
            self.dataset,
            self.data_dir,
            text_column=self.text_column,
            label_column=self.label_column,
            targets=self.targets,
            most=SMOKE_TEXTS if few else None,
            seed=seed,
            train_ratio=train_ratio,
        )

    def fixed(self, data: SearchData[Texts]) -> dict[str, Any]:
        """Return the hyperparameters that these flags, the targets of the data and the pretrained
        weights fix.

        Raises:
            ValueError: the weights cannot be read, or do not fit the data.
        """
        found: dict[str, Any] = {
            name: str(path.absolute())
            for name, path in (("embeddings", self.embeddings), ("paraphrases", self.paraphrases))
            if path is not None
        }
        if self.synonyms is not None:
            word_net = self.synonyms == WORDNET
            found["synonyms"] = WORDNET if word_net else str(Path(self.synonyms).absolute())
        if self.pretrained is not None:
            found |= network_of(self.pretrained)
            found["pretrained"] = str(self.pretrained.absolute())
        elif self.embeddings is not None:
            found["embedding_size"] = dimensions_of(found["embeddings"])
        if self.model is not None or "model" not in found:
            found["model"] = self.model or DEFAULT_MODEL
        if not data.classes:
            found["loss"] = "squared_error"
        return found

    def inputs(self) -> dict[str, str]:
        """Return fingerprints of the files that these flags name, which a resume compares."""
        weights = self.pretrained
        if weights is not None and weights.is_dir():
            weights = weights / STATE_FILE
        synonyms = None if self.synonyms in (None, WORDNET) else Path(str(self.synonyms))
        files = {
            "embeddings": self.embeddings,
            "synonyms": synonyms,
            "paraphrases": self.paraphrases,
            "pretrained": weights,
        }
        return {n: fingerprint_of(n, path) for n, path in files.items() if path is not None}


def read(texts: TextFlags, *, seed: int = 0) -> Dataset[Texts]:
    """Read and split texts.

    Args:
        texts: flags of the data.
        seed: seed of the split.
    """
    return texts.load(seed=seed)


def network_of(weights: Path) -> dict[str, Any]:
    """Return the hyperparameters of the network and of the texts that weights were trained with.

    Args:
        weights: one of our checkpoints, with a `best.json` beside it, as in a study's `best`.

    Raises:
        ValueError: there is no such file, or it has no configuration.
    """
    file = (weights if weights.is_dir() else weights.parent) / BEST_FILE
    try:
        config = json.loads(file.read_bytes())["config"]
        return {name: config[name] for name in (*NETWORK, *TOKENS) if name in config}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"--pretrained {weights}: {file} does not describe the network of the weights "
            f"({type(error).__name__}: {error}); give a study's best folder"
        ) from None


def fingerprint_of(name: str, path: Path) -> str:
    """Return a path, with twelve hexadecimal digits of a hash over the file."""
    try:
        return f"{path} {hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"
    except OSError as error:
        raise ValueError(f"--{name} {path}: cannot be read ({error.strerror})") from None
