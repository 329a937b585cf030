"""JSON and files as they were written, or an error in a line."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tune_cluster.storage.integrity import check_sums, parse, sums_of

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(values)
def test_parsed_json_is_what_was_written(value):
    assert parse(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "Expecting value"),
        (b'{"a": 1, "a": 2}', "'a' is there twice"),
        (b'{"a": {"b": 1, "b": 1}}', "'b' is there twice"),
        (b'{"a": NaN}', "NaN"),
        (b"[-Infinity]", "Infinity"),
        (b'{"a": 1}\0', "Extra data"),
        (b'{"\0": 1}', "control character"),
        (b"\xff", "utf-8"),
        (b"[" * 100_000, "nested more than"),
        (b'{"a":' * 101 + b"1" + b"}" * 101, "nested more than"),
        (b"1" * 5000, "integer"),
    ],
)
def test_json_that_no_study_writes_is_refused_in_one_line(data, said):
    with pytest.raises(ValueError, match=said) as refused:
        parse(data)
    assert "\n" not in str(refused.value)


def test_brackets_within_a_text_are_no_nesting():
    text = '["' * 200
    assert parse(json.dumps([text]).encode()) == [text]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "state.pt").write_bytes(bytes(range(256)) * 8192)
    (tmp_path / "deep" / "more").write_text("more")
    (tmp_path / "empty").touch()
    return tmp_path


def test_untouched_files_match_their_checksums(folder):
    sums = sums_of(folder)
    assert sums["deep/more"] == [4, 0x8B52F27C]
    assert {name: size for name, (size, _) in sums.items()} == {
        "state.pt": 2 * 1024**2,
        "deep/more": 4,
        "empty": 0,
    }
    check_sums(folder, sums)


def cut_off(file):
    file.write_bytes(file.read_bytes()[:-1])


def all_zeros(file):
    file.write_bytes(bytes(file.stat().st_size))


def one_block_of_zeros(file):
    data = bytearray(file.read_bytes())
    data[1_500_000:1_500_512] = bytes(512)
    file.write_bytes(data)


def longer(file):
    file.write_bytes(file.read_bytes() + b"x")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (cut_off, "has 2097151 bytes instead of 2097152"),
        (longer, "has 2097153 bytes"),
        (all_zeros, "is damaged"),
        (one_block_of_zeros, "is damaged"),
    ],
)
def test_a_damaged_file_is_named(folder, damage, said):
    sums = sums_of(folder)
    damage(folder / "state.pt")
    with pytest.raises(ValueError, match=rf"state\.pt {said}"):
        check_sums(folder, sums)


def test_a_missing_file_is_reported_as_missing_and_not_as_damaged(folder):
    sums = sums_of(folder)
    (folder / "state.pt").unlink()
    with pytest.raises(FileNotFoundError, match=r"state\.pt"):
        check_sums(folder, sums)
