"""A person's own file: what is found in it, what is told, and what is refused."""

import gzip

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainables.table.columns import tables_of
from trainables.table.datasets import load_table, read_own
from trainables.table.known_tables import TABLES
from trainables.table.values import File

ROWS = 40


def frame(**columns):
    """40 rows of a number, a category and a target of two classes, or other columns."""
    generator = np.random.default_rng(0)
    usual = {
        "age": generator.normal(40, 10, ROWS).round(1),
        "sex": generator.choice(["f", "m"], ROWS),
        "target": ["yes", "no"] * (ROWS // 2),
    }
    return pd.DataFrame({**usual, **columns})


@pytest.fixture
def written(tmp_path):
    """Writes a frame, or a text, to a file of that name."""

    def write(content, name="people.csv"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        if isinstance(content, str):
            path.write_text(content)
        elif path.suffix == ".parquet":
            content.to_parquet(path)
        else:
            content.to_csv(path, index=False)
        return str(path)

    return write


def loaded(path, kind="classes", **rest):
    return load_table(path, kind, seed=0, **rest)


def told(dataset):
    return "\n".join(dataset.notes)


@pytest.mark.parametrize("name", ["people.csv", "people.parquet", "people.csv.gz"])
def test_numbers_categories_and_classes_are_found(written, tmp_path, name):
    if name.endswith("gz"):
        (tmp_path / name).write_bytes(gzip.compress(frame().to_csv(index=False).encode()))
    else:
        written(frame(), name)
    dataset = loaded(str(tmp_path / name))
    columns = dataset.search.inputs.columns
    assert (columns.numbers, columns.categories) == (("age",), ("sex",))
    assert columns.levels == (("f", "m"),)
    assert dataset.search.class_names == ("no", "yes")
    assert len(dataset.test.targets) == ROWS * 0.2
    assert "2 columns" in told(dataset)


def test_the_order_of_rows_and_their_values_survive(written):
    original = frame(key=np.arange(ROWS) ** 2)
    dataset = loaded(written(original), drop=["age"])
    both = [dataset.search.inputs, dataset.test.inputs]
    keys = np.concatenate([part.numbers[:, 0] for part in both]).astype(int)
    codes = np.concatenate([part.codes[:, 0] for part in both])
    targets = np.concatenate([dataset.search.targets, dataset.test.targets])
    rows = np.sqrt(keys).astype(int)
    assert sorted(rows) == list(range(ROWS))
    assert list(codes) == list((original["sex"][rows] == "m").astype(int))
    assert list(targets) == list((original["target"][rows] == "yes").astype(int))


@pytest.mark.parametrize("form", ["%Y-%m-%d", "%Y/%m/%d", None])
def test_a_date_is_several_numbers(written, form):
    days = pd.date_range("2011-12-30", periods=ROWS, freq="D")
    given = days if form is None else days.strftime(form)
    path = written(frame(day=given), "people.parquet" if form is None else "people.csv")
    dataset = loaded(path, drop=["age", "sex"])
    numbers = dataset.search.inputs
    assert numbers.columns.numbers == ("day.days", "day.year", "day.month", "day.day_of_week")
    for row in numbers.numbers:
        day = pd.Timestamp(row[0], unit="D")
        assert list(row[1:]) == [day.year, day.month, day.dayofweek]


def test_a_time_of_day_is_a_number_too(written):
    times = pd.date_range("2012-01-01 06:00", periods=ROWS, freq="h").astype(str)
    dataset = loaded(written(frame(at=times)), drop=["age", "sex"])
    names = dataset.search.inputs.columns.numbers
    seconds = dataset.search.inputs.numbers[:, names.index("at.seconds")]
    assert set(seconds) <= {3600.0 * hour for hour in range(24)}
    assert "at.year" not in names, "it is the same in every row"


def test_what_is_missing_is_counted_and_told(written):
    age = frame()["age"].astype(object)
    age[[3, 5, 7]] = [None, "?", "NA"]
    sex = frame()["sex"].astype(object)
    sex[4] = None
    dataset = loaded(written(frame(age=age, sex=sex)))
    assert "4 missing values: age 3, sex 1" in told(dataset)
    missing = [part.missing for part in (dataset.search.inputs, dataset.test.inputs)]
    assert sum(part.get("age", 0) for part in missing) == 3
    assert sum(part.get("sex", 0) for part in missing) == 1


def test_rows_without_a_target_are_left_out_and_told(written):
    target = frame()["target"].astype(object)
    target[[0, 9]] = None
    dataset = loaded(written(frame(target=target)))
    assert len(dataset.search.targets) + len(dataset.test.targets) == ROWS - 2
    assert "2 rows of" in told(dataset)


def test_columns_that_say_nothing_are_left_out_and_told(written):
    dataset = loaded(
        written(frame(same=1, nothing=None, name=[f"person {i}" for i in range(ROWS)]))
    )
    assert dataset.search.inputs.columns.numbers == ("age",)
    assert dataset.search.inputs.columns.categories == ("sex",)
    for why, name in (("constant", "same"), ("without a value", "nothing"), ("a key", "name")):
        assert any(why in note and name in note for note in dataset.notes)


def test_a_name_is_a_category_where_it_is_said_so(written):
    path = written(frame(name=[f"person {i % 30}" for i in range(ROWS)]))
    assert "name" not in loaded(path).search.inputs.columns.categories
    assert "name" in loaded(path, categories=["name"]).search.inputs.columns.categories


def test_numbers_are_categories_where_it_is_said_so(written):
    path = written(frame(zone=[1.0, 2.0, None, 10.0] * (ROWS // 4)))
    columns = loaded(path, categories=["zone"]).search.inputs.columns
    assert columns.levels[columns.categories.index("zone")] == ("1", "10", "2")


def test_a_column_that_counts_the_rows_is_told(written):
    assert "--drop index" in told(loaded(written(frame(index=np.arange(7, 7 + ROWS)))))


def test_numbers_with_a_typing_error_are_told(written):
    height = [str(170 + i % 3) for i in range(ROWS)]
    height[11] = "17o"
    dataset = loaded(written(frame(height=height)))
    assert "height" in dataset.search.inputs.columns.categories
    assert "row 12 has '17o'" in told(dataset)


@pytest.mark.parametrize(
    "form",
    ["{:,.2f}", "${:.2f}", "{:.2f} %", "day 1.{}"],
    ids=["thousands", "dollars", "percent", "no number"],
)
def test_numbers_that_are_written_for_persons_are_told(written, form):
    values = [form.format(1000.25 * (i + 1)) for i in range(ROWS)]
    dataset = loaded(written(frame(height=values)))
    assert ("height is left out" in told(dataset)) == ("day" not in form)
    if "day" not in form:
        assert f"row 1 has '{values[0]}'; if these are numbers" in told(dataset)


@pytest.mark.parametrize("form", ["%d.%m.%Y", "%m/%d/%Y", "%b %d, %Y"])
def test_dates_in_another_form_are_told(written, form):
    days = pd.date_range("2020-01-01", periods=ROWS).strftime(form)
    dataset = loaded(written(frame(day=days)))
    assert f"day is left out, since row 1 has '{days[0]}'; if these are dates" in told(dataset)


def test_one_word_below_numbers_that_all_differ_is_told(written):
    height = [str(i / 7) for i in range(ROWS - 1)]
    dataset = loaded(written(frame(height=[*height, "Total"])))
    assert "height is left out, since row 40 has 'Total' and 39 rows have numbers" in told(dataset)


@pytest.mark.parametrize("given", [["size, m²"], ["size, m²", "sex,age"]])
def test_a_column_with_a_comma_in_its_name_can_be_left_out(written, given):
    path = written(frame(other=np.arange(ROWS) ** 2, **{"size, m²": np.arange(ROWS) ** 3}))
    left = loaded(path, drop=given).search.inputs.columns
    assert "size, m²" not in left.numbers
    assert ("age" in left.numbers) == (len(given) == 1)


def test_a_category_that_is_new_in_validation_is_counted_and_told(written):
    city = ["a", "b"] * (ROWS // 2)
    path = written(frame(city=city), "data/train.csv")
    written(frame(city=[*city[:-3], "c", "c", "d"]), "data/test.csv")
    folder = path.removesuffix("/train.csv")
    dataset = loaded(folder)
    assert "3 values of the test part" in told(dataset)
    assert "city 3" in told(dataset)
    assert len(dataset.test.targets) == ROWS


def test_data_that_moves_is_the_same_data(written):
    one, other = written(frame()), written(frame(), "moved/people.csv")
    assert loaded(one).fingerprint == loaded(other).fingerprint
    renamed = frame().rename(columns={"age": "years"})
    assert loaded(written(renamed, "renamed.csv")).fingerprint != loaded(one).fingerprint


WRONG = {
    "empty": ("", {}, "is empty"),
    "only names": ("age,target\n", {}, "has no row"),
    "no target": (frame().rename(columns={"target": "out"}), {}, "--predict; it has age, sex, out"),
    "missing column": (frame(), {"target": "height"}, "no column height; it has age, sex, target"),
    "missing category": (frame(), {"categories": ["zip"]}, "no column zip"),
    "missing drop": (frame(), {"drop": ["zip"]}, "no column zip"),
    "one class": (frame(target="yes"), {}, "column target: all rows are of one class, yes"),
    "no class": (
        frame(target=[i / 7 for i in range(ROWS)]),
        {},
        r"row 2, column target: the target 0\.142857 is no class",
    ),
    "names as classes": (
        frame(target=[f"person {i}" for i in range(ROWS)]),
        {},
        "40 different values in 40 rows are no classes",
    ),
    "infinity": (
        frame(age=[1.0, 2.0, np.inf, *range(ROWS - 3)]),
        {},
        "row 3, column age: inf is no finite number",
    ),
    "nothing left": (frame(), {"drop": ["age", "sex"]}, "no column is left"),
    "no target at all": (frame(target=None), {}, "no row has a value of the target"),
    "more values than names": ("age,target\n1,2,3\n4,5,6\n", {}, "more values than there are"),
    "equal names": ("age,age,target\n1,2,yes\n", {}, "several columns are called age"),
    "equal but for spaces": ("age,age ,target\n1,2,yes\n", {}, "several columns are called age"),
    "semicolons": ("age;target\n1,5;yes\n2,5;no\n", {}, "separated by ';' and not by ','"),
    "ragged": ("age,target\n1,yes\n2,no,3\n", {}, "cannot be read"),
    "too few": ("age,target\n1,yes\n2,no\n3,no\n4,no\n", {}, "need 5 or more"),
}


@pytest.mark.parametrize(("content", "given", "rule"), WRONG.values(), ids=WRONG)
def test_what_cannot_be_used_is_refused_in_a_line_with_file_and_rule(written, content, given, rule):
    path = written(content)
    with pytest.raises(ValueError, match=rule) as refused:
        loaded(path, **given)
    assert path in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("encoding", "rule"),
    [("latin-1", "line 3: byte 0xfc .* WINDOWS-1252"), ("utf-16", "line 1: byte 0xff .* UTF-16")],
)
def test_bytes_that_are_not_utf8_are_named_with_their_line(tmp_path, encoding, rule):
    path = tmp_path / "people.csv"
    path.write_bytes("name,target\nAda,yes\nMüller,no\n".encode(encoding))
    with pytest.raises(ValueError, match=rule):
        loaded(str(path))


WRONG_NUMBERS = {
    "infinite": ([1.0, -np.inf, *range(ROWS - 2)], "row 2, column target: the target -inf is no"),
    "text": (["a", "b"] * (ROWS // 2), "row 1, column target: the target 'a' is no finite number"),
    "equal": ([3] * ROWS, "every row has 3"),
}


@pytest.mark.parametrize(("target", "rule"), WRONG_NUMBERS.values(), ids=WRONG_NUMBERS)
def test_a_target_that_is_no_number_is_refused(written, target, rule):
    with pytest.raises(ValueError, match=rule):
        loaded(written(frame(target=target)), "numbers")


def test_labels_that_the_training_part_never_had_are_refused(written):
    path = written(frame(), "data/train.csv")
    written(frame(target=["yes", "perhaps"] * (ROWS // 2)), "data/test.csv")
    with pytest.raises(ValueError, match=r"test\.csv, row 2, column target: class perhaps"):
        loaded(path.removesuffix("/train.csv"))


def test_a_class_that_the_split_leaves_without_a_training_row_is_refused(written):
    path = written(frame(target=["rare", *(["yes", "no"] * ROWS)[: ROWS - 1]]))
    with pytest.raises(ValueError, match="no sample of class rare"):
        loaded(path, train_ratio=0.05)


def test_values_of_the_test_file_are_of_the_kind_of_the_training_file(written):
    path = written(frame(), "data/train.csv")
    written(frame(age="old"), "data/test.csv")
    with pytest.raises(ValueError, match=r"test\.csv, row 1, column age: 'old' is no number"):
        loaded(path.removesuffix("/train.csv"))


def test_the_row_is_that_of_the_file_where_rows_are_left_out(written):
    target = frame()["target"].astype(object)
    target[0] = None
    path = written(frame(target=target, age=[1.0, 2.0, np.inf, *range(ROWS - 3)]))
    with pytest.raises(ValueError, match="row 3, column age"):
        loaded(path)


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("titanic", "unknown table 'titanic'; give one of breast_cancer"),
        ("nowhere.csv", "no such file"),
        ("people.xlsx", "no such file"),
    ],
)
def test_a_table_that_is_not_there_is_refused(name, rule):
    with pytest.raises(ValueError, match=rule):
        read_own(name)


def test_a_damaged_parquet_file_is_refused(tmp_path):
    (tmp_path / "people.parquet").write_bytes(b"PAR1 and nothing else")
    with pytest.raises(ValueError, match="cannot be read"):
        read_own(str(tmp_path / "people.parquet"))


@pytest.mark.parametrize("name", TABLES)
def test_a_known_table_is_there_with_its_license(name):
    pytest.importorskip("statsmodels")
    pytest.importorskip("vega_datasets")
    dataset = load_table(name, TABLES[name].kind, seed=0)
    assert len(dataset.search.targets) > 100
    assert dataset.source == TABLES[name].source
    assert bool(dataset.search.classes) == (TABLES[name].kind == "classes")


VALUES = st.one_of(st.none(), st.text(max_size=5), st.floats(), st.integers(), st.booleans())


@settings(max_examples=60)
@given(st.lists(VALUES, min_size=1, max_size=30))
def test_any_column_is_read_or_refused_in_a_line(values):
    column = pd.Series(values, dtype=object)
    file = File("made up", pd.DataFrame({"x": column, "y": range(len(values))}))
    refused = None
    try:
        ((found,), notes) = tables_of([file], target="y", categories=(), drop=())
    except ValueError as error:
        refused = str(error)
    if refused is not None:
        assert "made up" in refused
        assert "\n" not in refused
        return
    assert len(found) == len(values)
    assert not np.isinf(found.numbers).any()
    for column, names in enumerate(found.columns.levels):
        assert found.codes[:, column].max() < len(names)
    assert notes
