"""What a searcher that learns knows: trials compared at one rung, and where the others stand."""

import math

from hypothesis import given
from hypothesis import strategies as st

from search_spaces.objective import Objective
from search_spaces.searchers.learning import END, History

RUNGS = (1, 3, 9)


def lived(history, name, values, end=None):
    """A trial with these values by epoch that ended so, or runs."""
    history.suggested(name, [0.5])
    for epoch, value in values.items():
        history.result(name, epoch, value)
    if end == "failed":
        history.failed(name)
    elif end is not None:
        last = max(values)
        history.ended(name, epoch=last, value=values[last], stopped=end == "stopped")


def order(history, rung, mode="max"):
    ranks = history.ranks(RUNGS, Objective("score", mode), rung)
    return sorted((name for name in ranks if ranks[name]), key=lambda n: ranks[n])


def test_the_model_compares_at_the_highest_rung_that_enough_have_reached():
    history = History()
    for number in range(6):
        lived(history, f"one-{number}", {1: 0.1}, "stopped")
    assert history.rung(RUNGS, 5) == 1
    for number in range(4):
        lived(history, f"three-{number}", {1: 0.1, 3: 0.2}, "stopped")
    assert history.rung(RUNGS, 5) == 1
    # One that is still running has been there all the same.
    lived(history, "running", {1: 0.1, 2: 0.1, 3: 0.3, 4: 0.3})
    assert history.rung(RUNGS, 5) == 3
    for number in range(5):
        lived(history, f"end-{number}", {1: 0.1, 3: 0.2, 9: 0.3, 27: 0.4}, "finished")
    assert history.rung(RUNGS, 5) == END


def test_failed_trials_do_not_make_a_rung_known():
    history = History()
    for number in range(9):
        lived(history, f"failed-{number}", {1: 0.1}, "failed")
    lived(history, "end", {1: 0.1, 27: 0.9}, "finished")
    assert history.rung(RUNGS, 2) == 1


def test_at_a_rung_values_count_then_where_a_trial_was_stopped_then_failures():
    history = History()
    lived(history, "failed", {1: 0.9, 3: 0.9}, "failed")
    lived(history, "early, good", {1: 0.8}, "stopped")
    lived(history, "early, bad", {1: 0.2}, "stopped")
    lived(history, "rung 3, bad", {1: 0.9, 3: 0.1}, "stopped")
    lived(history, "rung 9", {1: 0.1, 3: 0.3, 9: 0.05}, "stopped")
    lived(history, "end", {1: 0.1, 3: 0.2, 9: 0.9, 27: 0.99}, "finished")
    lived(history, "running", {1: 0.5, 2: 0.95})
    assert order(history, 3) == [
        "rung 9",
        "end",
        "rung 3, bad",
        "early, good",
        "early, bad",
        "failed",
    ]
    assert history.ranks(RUNGS, Objective("score", "max"), 3)["running"] is None
    # At rung 9 the two that came there; one is stopped there with less than the other.
    assert order(history, 9)[:3] == ["end", "rung 9", "rung 3, bad"]


def test_a_trial_that_ended_by_itself_has_passed_every_rung():
    history = History()
    lived(history, "patience", {1: 0.1, 2: 0.6}, "finished")
    lived(history, "whole", {1: 0.1, 3: 0.5, 9: 0.7}, "stopped")
    assert order(history, 9) == ["whole", "patience"]


def test_a_trial_that_leaves_epochs_out_is_at_a_rung_with_its_first_report_from_there_on():
    history = History()
    lived(history, "each", {1: 0.1, 2: 0.2, 3: 0.3}, "stopped")
    lived(history, "every 2nd", {2: 0.2, 4: 0.4, 6: 0.1}, "stopped")
    lived(history, "every 10th", {10: 0.35, 20: 0.9})
    assert order(history, 1) == ["every 10th", "every 2nd", "each"]
    assert order(history, 3) == ["every 2nd", "every 10th", "each"]
    assert order(history, 9) == ["every 10th", "every 2nd", "each"]


values = st.lists(st.floats(-1, 1), min_size=1, max_size=27)


@given(st.lists(st.tuples(values, st.sampled_from(["stopped", "finished", "failed", None]))))
def test_who_is_compared_is_compared_after_the_same_epochs(trials):
    history = History()
    for number, (curve, end) in enumerate(trials):
        if end == "stopped":
            # A rung is where trials are stopped.
            rung = max(r for r in RUNGS if r <= len(curve))
            curve = curve[:rung]
        lived(history, str(number), dict(enumerate(curve, start=1)), end)
    for mode, sign in (("max", -1), ("min", 1)):
        rung = history.rung(RUNGS, 3)
        ranks = history.ranks(RUNGS, Objective("score", mode), rung)
        assert list(ranks) == list(history.trials)
        for name, rank in ranks.items():
            told = history.trials[name]
            if told.state == "failed":
                assert rank.below == math.inf
            elif rank is not None and rank.below == 0:
                assert rank.loss == sign * told.value_at(rung)
            elif rank is not None:
                assert told.state == "stopped"
                assert max(told.values) < rung


def test_forgotten_is_forgotten():
    history = History()
    lived(history, "gone", {1: 0.5})
    history.forgotten("gone")
    assert history.trials == {}


def test_epochs_that_are_lost_do_not_count():
    history = History()
    lived(history, "again", {1: 0.1, 2: 0.9, 3: 0.8})
    history.lost("again", 2)
    assert history.trials["again"].values == {1: 0.1}
