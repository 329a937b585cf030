"""Lines of a journal: every kind of event, and errors of invalid ones."""

import pytest

from tune_cluster.study.events import KINDS, read_event

WHOLE = (
    {"event": "session", "command": ["--trials", "2"], "resumed": False, "notices": ["no GPU"]},
    {"event": "earlier", "study": "s", "config": {}, "values": {"1": 0.5}, "status": "finished"},
    {"event": "start_point", "study": "s", "config": {"a": [1, 2]}},
    {"event": "suggested", "trial": 0, "config": {"a": [1, None], "b": "x"}},
    {"event": "started", "trial": 0},
    {"event": "retried", "trial": 0, "epoch": 1, "reason": "r", "lost": True, "traceback": "t"},
    {"event": "reset_failed", "trial": 0, "reason": "r"},
    {"event": "share", "trial": 0, "epoch": 0, "gpus": [0.25, 0.5]},
    {"event": "restored", "trial": 0, "epoch": 0, "unreadable": ["checkpoint_000001"]},
    {"event": "epochs_lost", "trial": 0, "first": 1, "last": 2.5, "unread": 2},
    {"event": "left_out", "trial": 0, "metrics": {"note": "str"}},
    {"event": "interim", "trial": 0, "epoch": 0.25, "metrics": {"a": 1}},
    {"event": "result", "trial": 0, "epoch": 0.5, "metrics": {}},
    {"event": "result", "trial": 0, "epoch": 1, "node": "n", "metrics": {"a": 1, "b": None}},
    {"event": "checkpoint", "trial": 0, "epoch": 1, "path": "trials/0000/checkpoint_000001"},
    {"event": "unsaved", "trial": 0, "epoch": 1, "needed": 2, "allowed": 1},
    {"event": "unkept", "trial": 0, "needed": 2, "allowed": 1},
    {"event": "decision", "trial": 0, "rung": 1, "value": 0.5, "cutoff": None, "rank": 1, "of": 1}
    | {"stop": True},
    {"event": "promoted", "trial": 0, "rung": 1, "value": 0.5, "rank": 1, "of": 3},
    {"event": "rung_judged", "rung": 1, "next": 3, "pairs": 6, "agreement": 0.5, "used": False},
    {"event": "start_points_left_out", "trial": 4, "better_than": [1, 2, 3], "points": 5},
    {"event": "exploited", "trial": 0, "epoch": 1, "donor": 1, "value": 0.5, "donor_value": 1}
    | {"changes": {"a": [1, 2]}},
    {"event": "not_exploited", "trial": 0, "epoch": 1, "donor": 1, "reason": "r"},
    {"event": "ended", "trial": 0, "epoch": 1, "status": "stopped", "rung": 1, "control": True},
    # Of an earlier version.
    {"event": "ended", "trial": 0, "epoch": 1, "status": "stopped", "rung": 1, "control": False},
    {"event": "retried", "trial": 0, "epoch": 1, "reason": "r", "control": True},
    {"event": "restored", "trial": 0, "epoch": 0, "unreadable": [], "control": True},
    {"event": "control_started", "trial": 0},
    {"event": "control", "trial": 0, "epoch": 2, "metrics": {}, "step_losses": [[1, 0.5]]},
    {"event": "control_ended", "trial": 0, "epoch": 2, "status": "failed", "reason": "r"},
    {"event": "width", "trials": 4},
    {"event": "width", "trials": 1, "reason": "trial 1 was killed 2 times in epoch 1"},
    {"event": "node_refused", "node": "n", "reasons": ["r"]},
    {"event": "repaired", "of": "s", "left_out": 3},
    {"event": "round_judged", "round": 1, "of": 5, "best": "a", "tied": ["b"], "continuing": []},
    {"event": "closed", "why": "all trials"},
)


def test_an_event_of_each_kind_is_taken():
    assert {event["event"] for event in WHOLE} == KINDS.keys()
    for event in WHOLE:
        timed = {**event, "time": 1.5}
        read = read_event(timed)
        assert read.time == 1.5
        assert read.to_json() == timed, "no field is lost, and none is new"


RESULT = next(event for event in WHOLE if event["event"] == "result" and "node" in event)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"trial": -1}, "result.trial is -1"),
        ({"trial": True}, "result.trial is True"),
        ({"trial": "0"}, "result.trial is '0'"),
        ({"epoch": 0}, "result.epoch is 0"),
        ({"epoch": 1.0}, "result.epoch is 1.0"),
        ({"epoch": 10**30}, "result.epoch is 1000000"),
        ({"metrics": None}, "result.metrics is None"),
        ({"metrics": {"a": "x"}}, "result.metrics.a is 'x'"),
        ({"metrics": {"a\x1b": float("nan")}}, r"result.metrics.a\\x1b is nan"),
        ({"metrics": {"a": 10**400}}, "result.metrics.a is 1000000"),
        ({"step_losses": [[1]]}, "result.step_losses.0 is"),
        ({"more": 1}, "result.more is unknown; a newer version may have written it"),
        ({"event": "nonsense"}, "'nonsense' is unknown to this version; a newer one may"),
        ({"event": ["result"]}, "event is missing, or no text"),
    ],
)
def test_a_field_with_an_invalid_value_is_named(changed, said):
    with pytest.raises(ValueError, match=said) as refused:
        read_event({**RESULT, **changed})
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["trial", "epoch", "metrics"])
def test_a_field_that_is_missing_is_named(name):
    with pytest.raises(ValueError, match=f"result.{name} is missing"):
        read_event({field: value for field, value in RESULT.items() if field != name})


@pytest.mark.parametrize("event", [None, [], 3, "result", {}])
def test_json_that_is_no_event_is_refused(event):
    with pytest.raises(ValueError, match=r"no JSON object|event is missing"):
        read_event(event)
