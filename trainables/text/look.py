"""Sections of a look at texts: their lengths, characters to clean, and samples."""

import re
from collections.abc import Callable, Iterator

import numpy as np

from trainables.data.dataset import Dataset
from trainables.data.look import (
    QUANTILES,
    Keys,
    OwnLook,
    Section,
    parts_of,
    quantile_row,
    row_keys,
)
from trainables.text.cleaning import CONTROLS, REPEATS, TAGS, URLS
from trainables.text.texts import Texts
from trainables.text.tokens import split

BROKEN_SHARE = 0.01
"""Share of the training texts that may have broken characters without a warning."""

REMOVED = frozenset(chr(code) for code, instead in CONTROLS.items() if instead is None)

TRACES: dict[str, Callable[[str], object]] = {
    "HTML tags": TAGS.search,
    "HTML entities": re.compile(r"&(?:#\d+|#x[0-9a-fA-F]+|[a-zA-Z]{2,8});").search,
    "addresses of the web": URLS.search,
    "control or invisible characters": lambda text: any(map(REMOVED.__contains__, text)),
    "broken characters": re.compile("\ufffd|Ã[\x80-\xbf]|â€").search,
    "a character three times in a row": REPEATS.search,
    "capital letters above all": lambda text: 2 * sum(map(str.isupper, text)) > len(text),
}
"""Patterns that cleaning may remove, by name."""

SHOWN_CLASSES, SHOWN_TEXTS, SHOWN_CHARACTERS = 20, 2, 120
"""Most classes of which texts are shown, texts of each, and characters of each."""


def keys(texts: Texts) -> Keys:
    """Return the key of each text, of all its characters."""
    found = [row_keys(np.frombuffer(text.encode(), np.uint8)[None]) for text in texts.strings()]
    return np.concatenate(found)


def sections(dataset: Dataset[Texts]) -> Iterator[Section]:
    """Return what was found in the texts of a dataset."""
    strings = {name: part.inputs.strings() for name, part in parts_of(dataset).items()}
    rows = []
    for name, texts in strings.items():
        rows.append(quantile_row(f"{name}, words", split(texts, "words").places.lengths))
        rows.append(quantile_row(f"{name}, characters", np.array([len(text) for text in texts])))
    yield Section(title="Lengths", heads=("part", *QUANTILES), rows=tuple(rows))
    yield _traces(strings["training"])
    yield _texts(dataset, strings["training"])


def _traces(texts: list[str]) -> Section:
    counts = {name: sum(map(bool, map(found_in, texts))) for name, found_in in TRACES.items()}
    warnings = []
    broken = counts["broken characters"]
    if broken > BROKEN_SHARE * len(texts):
        warnings.append(
            f"{broken:,} of {len(texts):,} training texts have broken characters: the file may "
            "have been read in another encoding than it was written in"
        )
    return Section(
        title="What may be cleaned",
        heads=("training texts with", "texts", "share"),
        rows=tuple(
            (n, f"{c:,} of {len(texts):,}", f"{c / len(texts):.1%}") for n, c in counts.items()
        ),
        warnings=tuple(warnings),
    )


def _texts(dataset: Dataset[Texts], texts: list[str]) -> Section:
    targets, names = dataset.search.train.targets, dataset.search.class_names
    if names:
        chosen = [
            (name, row)
            for c, name in enumerate(names[:SHOWN_CLASSES])
            for row in np.flatnonzero(targets == c)[:SHOWN_TEXTS]
        ]
    else:
        order = np.argsort(targets, kind="stable")
        spaced = order[np.linspace(0, len(order) - 1, min(len(order), 10)).astype(np.int64)]
        chosen = [(f"{targets[row]:.4g}", row) for row in spaced]
    return Section(
        title="Training texts",
        worded=True,
        heads=("target", "text"),
        rows=tuple((label, _short(texts[row])) for label, row in chosen),
    )


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN_CHARACTERS else f"{line[:SHOWN_CHARACTERS]}…"


LOOK = OwnLook(keys, sections)
