"""Predictions of a trained network for texts.

    python predict.py new.csv         a line of JSON for each text of the column `text`
    python predict.py new.txt         a text a line; - reads them from standard input

    from predict import predict
    predict(["a fine film"])

Needs torch and numpy; pandas for .csv and .tsv, tokenizers for byte pairs, ftfy for clean_encoding.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trainables.prediction.exported import Exported, print_lines
from trainables.text.batching import in_order
from trainables.text.models import build_model
from trainables.text.text_files import SUFFIXES, TEXT_NAMES, decoded, read_columns, usual_column
from trainables.text.vocabulary import VOCABULARY_NAME, Preparation

FOLDER = Path(__file__).parent


def predict(texts: Sequence[str], folder: Path | str = FOLDER) -> NDArray[np.float64]:
    """Return the probability of each class, `[n, classes]`, or numbers, `[n]`.

    Args:
        texts: the texts, as they are: they are cleaned as those of the training.
        folder: folder of the export.
    """
    if isinstance(texts, str) or not len(texts):
        raise ValueError(f"give a list of texts, got {texts!r}")
    return network_of(Path(folder)).predict(texts)


class _Network:
    def __init__(self, folder: Path) -> None:
        self.exported = Exported(folder)
        self._each = []
        for weights in self.exported.weights:
            preparation = Preparation.from_stored(weights[VOCABULARY_NAME])
            model = build_model(self.exported.config, preparation, self.exported.width)
            self._each.append((preparation, self.exported.with_weights(model, weights)))

    def predict(self, texts: Sequence[str]) -> NDArray[np.float64]:
        return self.exported.predicted(
            [
                self.exported.outputs(
                    functools.partial(in_order, model),
                    torch.from_numpy(preparation.rows_of(texts)[0]),
                )
                for preparation, model in self._each
            ]
        )


@functools.lru_cache(maxsize=1)
def network_of(folder: Path) -> _Network:
    """Return the networks of an export, which a process keeps."""
    return _Network(folder)


def texts_in(file: str, column: str | None) -> list[str]:
    """Return the texts of a file.

    Args:
        file: a `.csv`, `.tsv` or `.jsonl` file with a column of texts, or any other with a text a
            line; - is standard input.
        column: name of that column; None takes the first of `TEXT_NAMES`, or the only one.

    Raises:
        ValueError: the file cannot be read, has no text, or has no such column.
    """
    path = Path(file)
    if path.suffix not in SUFFIXES:
        data = sys.stdin.buffer.read() if file == "-" else path.read_bytes()
        texts = decoded(data, path).splitlines()
        if not texts:
            raise ValueError(f"{file}: has no line")
        return texts
    read = read_columns(path)
    only = next(iter(read)) if len(read) == 1 else None
    name = column or usual_column(read, TEXT_NAMES) or only
    if name not in read:
        wanted = f"column {column}" if column else f"column is called {', '.join(TEXT_NAMES)}"
        raise ValueError(f"{file}: no {wanted}; it has {', '.join(read)}: give --column NAME")
    for row, text in enumerate(read[name], start=1):
        if text is None:
            raise ValueError(f"{file}, row {row}: has no {name}")
    return [text or "" for text in read[name]]


def main() -> None:
    """Print what is predicted for the texts of the command line."""
    parser = argparse.ArgumentParser(
        prog="predict.py", description="Print a line of JSON for each text."
    )
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help=f"{', '.join(SUFFIXES)}, or a text a line; - is standard input",
    )
    parser.add_argument("--column", help="name of the column of texts")
    given = parser.parse_args()

    def read() -> tuple[list[dict[str, Any]], NDArray[np.float64]]:
        found = {file: texts_in(file, given.column) for file in given.files}
        names = [
            {"file": file, "row": row}
            for file, texts in found.items()
            for row in range(1, len(texts) + 1)
        ]
        return names, predict([text for texts in found.values() for text in texts])

    print_lines(read, lambda: network_of(FOLDER).exported.class_names)


if __name__ == "__main__":
    main()
