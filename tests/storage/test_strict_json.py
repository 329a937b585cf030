"""JSON as it was written, or an error in a line."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tune_cluster.storage.strict_json import parse

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(values)
def test_what_was_written_comes_back(value):
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
def test_what_no_file_of_ours_has_is_refused(data, said):
    with pytest.raises(ValueError, match=said) as refused:
        parse(data)
    assert "\n" not in str(refused.value)


def test_brackets_within_a_text_are_no_nesting():
    text = '["' * 200
    assert parse(json.dumps([text]).encode()) == [text]
