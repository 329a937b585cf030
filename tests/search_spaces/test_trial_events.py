"""Events as lines of a journal: written as they always were, read back, refused where damaged."""

import json
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces.trial_events import (
    LATEST,
    Decision,
    Earlier,
    Ended,
    EpochsLost,
    Exploited,
    NotExploited,
    Promoted,
    Result,
    StartPoint,
    Suggested,
)

LINES = (
    (Earlier, {"study": "s", "config": {}, "values": {"1": 0.5}, "status": "finished"}),
    (StartPoint, {"study": "s", "config": {"a": [1, 2]}}),
    (Suggested, {"trial": 1, "config": {}, "origin": 7, "start_epoch": 3}),
    (Suggested, {"trial": 0, "config": {"a": [1, None], "b": "x"}}),
    (Result, {"trial": 0, "epoch": 0.5, "metrics": {}}),
    (Result, {"trial": 0, "epoch": 1, "node": "n", "metrics": {"a": 1, "b": None, "c": True}}),
    (Result, {"trial": 0, "epoch": 1, "metrics": {"a": 1.5}, "step_losses": [[1, 0.5]]}),
    (EpochsLost, {"trial": 0, "first": 1, "last": 2.5}),
    (EpochsLost, {"trial": 0, "first": 1, "last": 2, "unread": 2}),
    (
        Decision,
        {"trial": 0, "rung": 1, "value": 0.5, "cutoff": None, "rank": 1, "of": 1, "stop": True},
    ),
    (
        Decision,
        {"trial": 0, "rung": 1, "value": 0.5, "cutoff": 0.5, "rank": 1, "of": 1, "stop": False},
    ),
    (Promoted, {"trial": 0, "rung": 1, "value": 0.5, "rank": 1, "of": 3}),
    (
        Exploited,
        {"trial": 0, "epoch": 1, "donor": 1, "value": 0.5, "donor_value": 1}
        | {"changes": {"a": [1, None]}, "absent": ["a"]},
    ),
    (
        Exploited,
        {"trial": 0, "epoch": 1, "donor": 1, "value": 0.5, "donor_value": 1}
        | {"changes": {"a": [1, 2.5]}},
    ),
    (NotExploited, {"trial": 0, "epoch": 1, "donor": 1, "reason": "r"}),
    (Ended, {"trial": 0, "epoch": 0, "status": "failed", "reason": "r", "blameless": True}),
    (Ended, {"trial": 0, "epoch": 3, "status": "failed", "traceback": "t", "log": "l"}),
    (Ended, {"trial": 0, "epoch": 1, "status": "stopped", "rung": 1}),
    (Ended, {"trial": 0, "epoch": 9, "status": "finished"}),
)

every_line = pytest.mark.parametrize(("kind", "line"), LINES)


@every_line
def test_a_line_of_a_journal_is_read_and_written_the_same(kind, line):
    line = {"event": kind.name, **line, "time": 1.5}
    event = kind.from_json(line)
    assert list(event.to_json().items()) == list(line.items()), "the order stays, too"
    assert json.loads(json.dumps(event.to_json())) == line


@every_line
def test_an_event_that_is_not_written_yet_has_no_time(kind, line):
    assert "time" not in kind.from_json({"event": kind.name, **line}).to_json()


@every_line
def test_an_event_prints_at_most_one_line(kind, line):
    assert "\n" not in kind.from_json(line).line("score")


metrics = st.dictionaries(
    st.text(),
    st.one_of(st.none(), st.booleans(), st.floats(allow_nan=False, allow_infinity=False)),
)
epochs = st.integers(1, 2**53) | st.integers(0, 10**6).map(lambda whole: whole + 0.25)


@given(
    event=st.builds(
        Result,
        trial=st.integers(0, 2**53),
        epoch=epochs,
        node=st.none() | st.text(),
        metrics=metrics,
        time=st.none() | st.floats(0, LATEST),
    )
)
def test_any_result_survives_json(event):
    assert Result.from_json(json.loads(json.dumps(event.to_json()))) == event


GOOD = {"trial": 0, "epoch": 1, "node": "n", "metrics": {"a": 1, "b": None}}


@pytest.mark.parametrize(
    "changed",
    [
        {"trial": -1},
        {"trial": True},
        {"trial": "0"},
        {"trial": 0.0},
        {"epoch": 0},
        {"epoch": 1.0},
        {"epoch": "1"},
        {"epoch": 10**30},
        {"node": 3},
        {"metrics": None},
        {"metrics": {"a": "x"}},
        {"metrics": {"a": "1"}},
        {"metrics": {"a": float("nan")}},
        {"metrics": {"a": float("inf")}},
        {"metrics": {"a": 10**400}},
        {"step_losses": [[1]]},
        {"step_losses": "x"},
        {"time": "1"},
        {"time": True},
        {"more": 1},
    ],
)
def test_an_altered_line_is_refused(changed):
    with pytest.raises(ValueError, match="validation error"):
        Result.from_json({**GOOD, **changed})


@pytest.mark.parametrize("flag", [1, "true", None])
def test_a_boolean_field_refuses_other_types(flag):
    line = {"trial": 0, "epoch": 1, "status": "failed", "blameless": flag}
    with pytest.raises(ValueError, match="blameless"):
        Ended.from_json(line)


@every_line
def test_a_field_that_is_missing_is_named(kind, line):
    optional = {"time", "node", "step_losses", "step_scores", "unread", "absent"}
    optional |= {"reason", "blameless", "traceback", "log", "rung", "origin", "start_epoch", "seed"}
    for field in {field.name for field in fields(kind)} - optional:
        with pytest.raises(ValueError, match=field):
            kind.from_json({name: value for name, value in line.items() if name != field})


def test_an_earlier_trial_has_its_values_by_epoch_as_text():
    line = {"study": "s", "config": {}, "values": {"1": 0.5, "0.25": 1}, "status": "stopped"}
    assert Earlier.from_json(line).values == {"1": 0.5, "0.25": 1}
    with pytest.raises(ValueError, match="values"):
        Earlier.from_json({**line, "values": {"one": 0.5}})


@pytest.mark.parametrize(
    ("status", "blameless", "failed", "blamed"),
    [
        ("finished", False, False, False),
        ("stopped", False, False, False),
        ("diverged", False, True, True),
        ("failed", False, True, True),
        ("failed", True, True, False),
    ],
)
def test_a_failed_end_is_blamed_on_the_configuration_unless_it_is_blameless(
    status, blameless, failed, blamed
):
    end = Ended(trial=0, epoch=1, status=status, blameless=blameless)
    assert (end.failed, end.blamed) == (failed, blamed)
