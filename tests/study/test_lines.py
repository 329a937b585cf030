"""Lines of a journal: the short way to read one finds what the long one does, or nothing."""

import json
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces.trial_events import Result
from tests.damage import OTHER_VALUES, changed_json, numbers, others
from tests.study.test_events import RESULT, WHOLE
from tune_cluster.study.events import read_event
from tune_cluster.study.lines import CHECKSUM, OF_EACH_EPOCH, read_line, read_sealed, sealed

FREQUENT = {kind.name for kind in OF_EACH_EPOCH.values()}

NUMBER = 7


def with_checksum(content):
    """Return a line with a right checksum, whatever its content: an object of JSON or its text."""
    body = (content if isinstance(content, bytes) else json.dumps(content).encode())[:-1]
    return b"%b%b%d}" % (body, CHECKSUM, zlib.crc32(body))


def found_in_full(line):
    """Return an event with the types of its values; None for a line that is refused."""
    try:
        return repr(read_line(line).event)
    except ValueError:
        return None


@pytest.mark.parametrize("event", WHOLE, ids=lambda event: event["event"])
def test_an_event_is_read_the_short_way_if_a_journal_has_thousands_of_it(event):
    line = sealed(read_event({**event, "time": 1.5}), NUMBER).rstrip(b"\n")
    found = read_sealed(line, NUMBER)
    short = event["event"] in FREQUENT and "control" not in event
    assert repr(found) == (found_in_full(line) if short else "None")


value = (
    st.sampled_from(OTHER_VALUES)
    | st.integers()
    | st.integers(-(2**1100), 2**1100)
    | st.floats()
    | st.text(max_size=3)
    | st.booleans()
)
place = st.sampled_from(["trial", "epoch", "node", "time", "n", "more", "event", "metrics"])


@given(
    changed=st.dictionaries(place, value, max_size=2),
    metrics=st.dictionaries(st.text(max_size=2), value, max_size=3),
    losses=st.none() | st.lists(st.lists(value, max_size=3), max_size=2),
)
def test_no_value_is_read_another_way_with_a_right_checksum(changed, metrics, losses):
    fields = {**RESULT, "metrics": metrics, "step_losses": losses, "time": 1, "n": NUMBER}
    line = with_checksum({**fields, **changed, "n": NUMBER})
    found = read_sealed(line, NUMBER)
    assert found is None or repr(found) == found_in_full(line)


@given(event=st.sampled_from(WHOLE), number=numbers, other=others)
def test_no_changed_field_is_read_another_way_with_a_right_checksum(event, number, other):
    line = with_checksum(changed_json(json.dumps({**event, "n": NUMBER}), number, other))
    found = read_sealed(line, NUMBER)
    assert found is None or repr(found) == found_in_full(line)


@pytest.mark.parametrize(
    "fields",
    [
        b'"trial": 1, "trial": 2, "epoch": 1, "metrics": {}',
        b'"trial": 1, "trial": "2", "epoch": 1, "metrics": {}',
        b'"trial": "1", "trial": 2, "epoch": 1, "metrics": {}',
        b'"trial": 1, "epoch": 1, "metrics": {"a": 1, "a": 2.5}',
        b'"trial": 1, "epoch": 1, "metrics": {"a": 1e999}',
        b'"trial": 1, "epoch": 1, "metrics": {"a": NaN}',
        b'"trial": 1, "epoch": 1, "metrics": {"a": -Infinity}',
        b'"trial": 1, "epoch": 1, "metrics": {"a": 01}',
        b'"trial": 1, "epoch": 1, "metrics": {"\\ud800": 1}',
        b'"trial": 1, "epoch": 1, "metrics": {"\xff": 1}',
        b'"trial": 1, "epoch": 1, "metrics": {}, "n": 8',
        b'"trial": 1, "epoch": 1, "metrics": {}}, {"a": 1',
        b'"trial": 1, "epoch": 1, "metrics": {}}',
        b"",
        b", ",
    ],
)
def test_no_text_is_read_another_way_with_a_right_checksum(fields):
    line = with_checksum(b'{"event": "result", %b, "n": %d}' % (fields, NUMBER))
    found = read_sealed(line, NUMBER)
    assert found is None or repr(found) == found_in_full(line)


@given(at=st.integers(0, 2**16), byte=st.binary(min_size=1, max_size=1))
def test_a_changed_byte_is_not_read_the_short_way(at, byte):
    line = sealed(Result(trial=0, epoch=1, metrics={"a": 0.5}, time=1.5), NUMBER).rstrip(b"\n")
    at %= len(line)
    changed = line[:at] + byte + line[at + 1 :]
    assert (read_sealed(changed, NUMBER) is None) == (changed != line)


def test_a_line_in_another_place_is_not_read_the_short_way():
    line = sealed(Result(trial=0, epoch=1, metrics={}), NUMBER).rstrip(b"\n")
    assert read_sealed(line, NUMBER + 1) is None
