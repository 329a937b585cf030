"""What a look at a table adds."""

import numpy as np
import pandas as pd
import pytest

from trainables.table.datasets import load_table
from trainables.table.table_network import TableNetwork


@pytest.fixture
def look(tmp_path):
    def call(**columns):
        generator = np.random.default_rng(0)
        frame = pd.DataFrame(
            {
                "age": generator.integers(18, 90, 200),
                "town": generator.choice(["Ulm", "Bonn", "Trier"], 200),
                "noise": generator.normal(size=200),
                **columns,
                "target": ["yes", "no"] * 100,
            }
        )
        frame.to_csv(tmp_path / "table.csv", index=False)
        return TableNetwork.look(load_table(str(tmp_path / "table.csv"), "classes", seed=0))

    return call


def rows_of(look, title):
    (section,) = (one for one in look.sections if one.title == title)
    return {row[0]: row[1:] for row in section.rows}


def test_a_whole_table_needs_no_warning_and_its_columns_are_shown(look):
    found = look()
    assert found.warnings == []
    assert set(rows_of(found, "Numbers")) == {"age", "noise"}
    assert rows_of(found, "Categories")["town"][0] == "3"
    assert rows_of(found, "Missing values") == {}


def test_missing_values_are_counted_and_a_column_with_few_values_is_named(look):
    few = np.where(np.arange(200) % 10 == 0, 1.0 + np.arange(200), np.nan)
    some = np.where(np.arange(200) % 10 == 0, np.nan, 1.0 + np.arange(200))
    found = look(few=few, some=some)
    missing = rows_of(found, "Missing values")
    assert list(missing) == ["few", "some"]
    assert float(missing["few"][1].rstrip("%")) == pytest.approx(90, abs=5)
    (told,) = [warning for warning in found.warnings if "have no value" in warning]
    assert "few" in told
    assert "some" not in told


def test_a_constant_column_is_named(look):
    found = look(always=np.full(200, 3), same=["x"] * 200)
    told = " ".join(found.warnings)
    assert "always" in told or "always" not in rows_of(found, "Numbers")
    assert "same" in told or "same" not in rows_of(found, "Categories")


def test_a_column_that_tells_the_classes_is_named(look):
    found = look(copy=[1, 0] * 100, word=["a", "b"] * 100, near=[1, 0] * 99 + [0, 0])
    (told,) = found.warnings
    assert "copy" in told
    assert "word" in told
    assert "near" not in told


def test_a_column_that_is_the_target_in_another_unit_is_named(tmp_path):
    generator = np.random.default_rng(0)
    price = generator.normal(1e5, 1e4, 200)
    frame = pd.DataFrame(
        {
            "cents": np.where(np.arange(200) % 9 == 0, np.nan, 100 * price + 3),
            "near": price + generator.normal(size=200),
            "price": price,
        }
    )
    frame.to_csv(tmp_path / "table.csv", index=False)
    dataset = load_table(str(tmp_path / "table.csv"), "numbers", target="price", seed=0)
    (told,) = TableNetwork.look(dataset).warnings
    assert "cents" in told
    assert "near" not in told


def test_copies_across_the_borders_are_found(tmp_path):
    rows = np.arange(40)
    frame = pd.DataFrame({"a": rows, "b": rows * 2, "target": rows % 2})
    pd.concat([frame] * 5).to_csv(tmp_path / "table.csv", index=False)
    found = TableNetwork.look(load_table(str(tmp_path / "table.csv"), "classes", seed=0))
    assert any("test samples are training samples too" in warning for warning in found.warnings)
