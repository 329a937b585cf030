"""Knowledge of a searcher that learns: trials compared at one rung, and ranks of the others."""

import math

from hypothesis import given
from hypothesis import strategies as st

from search_spaces.objective import Objective
from search_spaces.schedulers.asha import ASHA
from search_spaces.searchers.learning import (
    END,
    ENOUGH,
    LearningSearch,
    TrialRecord,
    common_rung,
    ranks_of,
)
from search_spaces.trial_events import Result, Suggested
from tests.search_spaces.conftest import EVERYTHING, study_of

RUNGS = (1, 3, 9)


def lived(trials, name, values, end="running"):
    """A trial with these values by epoch that ended so, or runs."""
    trials[name] = TrialRecord((0.5,), dict(values), end)
    if end == "finished":
        trials[name].values[END] = values[max(values)]


def rung_of(trials, enough):
    return common_rung(trials.values(), RUNGS, enough)


def order(trials, rung, mode="max"):
    ranks = ranks_of(trials, RUNGS, Objective("score", mode), rung)
    ranked = {name: rank for name, rank in ranks.items() if rank}
    return sorted(ranked, key=lambda name: ranked[name])


def test_the_model_compares_at_the_highest_rung_that_enough_trials_have_reached():
    trials = {}
    for number in range(6):
        lived(trials, f"one-{number}", {1: 0.1}, "stopped")
    assert rung_of(trials, 5) == 1
    for number in range(4):
        lived(trials, f"three-{number}", {1: 0.1, 3: 0.2}, "stopped")
    assert rung_of(trials, 5) == 1
    # One that is still running has been there all the same.
    lived(trials, "running", {1: 0.1, 2: 0.1, 3: 0.3, 4: 0.3})
    assert rung_of(trials, 5) == 3
    for number in range(5):
        lived(trials, f"end-{number}", {1: 0.1, 3: 0.2, 9: 0.3, 27: 0.4}, "finished")
    assert rung_of(trials, 5) == END


def test_failed_trials_do_not_make_a_rung_known():
    trials = {}
    for number in range(9):
        lived(trials, f"failed-{number}", {1: 0.1}, "failed")
    lived(trials, "end", {1: 0.1, 27: 0.9}, "finished")
    assert rung_of(trials, 2) == 1


def test_trials_are_ordered_by_value_at_the_rung_then_by_the_rung_that_stopped_them_then_failed():
    trials = {}
    lived(trials, "failed", {1: 0.9, 3: 0.9}, "failed")
    lived(trials, "early, good", {1: 0.8}, "stopped")
    lived(trials, "early, bad", {1: 0.2}, "stopped")
    lived(trials, "rung 3, bad", {1: 0.9, 3: 0.1}, "stopped")
    lived(trials, "rung 9", {1: 0.1, 3: 0.3, 9: 0.05}, "stopped")
    lived(trials, "end", {1: 0.1, 3: 0.2, 9: 0.9, 27: 0.99}, "finished")
    lived(trials, "running", {1: 0.5, 2: 0.95})
    assert order(trials, 3) == [
        "rung 9",
        "end",
        "rung 3, bad",
        "early, good",
        "early, bad",
        "failed",
    ]
    assert ranks_of(trials, RUNGS, Objective("score", "max"), 3)["running"] is None
    # At rung 9 the two that came there; one is stopped there with less than the other.
    assert order(trials, 9)[:3] == ["end", "rung 9", "rung 3, bad"]


def test_a_trial_that_ended_by_itself_has_passed_every_rung():
    trials = {}
    lived(trials, "patience", {1: 0.1, 2: 0.6}, "finished")
    lived(trials, "whole", {1: 0.1, 3: 0.5, 9: 0.7}, "stopped")
    assert order(trials, 9) == ["whole", "patience"]


def test_a_trial_that_skips_epochs_reaches_a_rung_with_its_first_report_from_the_rung_on():
    trials = {}
    lived(trials, "each", {1: 0.1, 2: 0.2, 3: 0.3}, "stopped")
    lived(trials, "every 2nd", {2: 0.2, 4: 0.4, 6: 0.1}, "stopped")
    lived(trials, "every 10th", {10: 0.35, 20: 0.9})
    assert order(trials, 1) == ["every 10th", "every 2nd", "each"]
    assert order(trials, 3) == ["every 2nd", "every 10th", "each"]
    assert order(trials, 9) == ["every 10th", "every 2nd", "each"]


values = st.lists(st.floats(-1, 1), min_size=1, max_size=27)


@given(st.lists(st.tuples(values, st.sampled_from(["stopped", "finished", "failed", "running"]))))
def test_trials_are_compared_after_the_same_number_of_epochs(lives):
    trials = {}
    for number, (curve, end) in enumerate(lives):
        if end == "stopped":
            # A rung is where trials are stopped.
            rung = max(r for r in RUNGS if r <= len(curve))
            curve = curve[:rung]
        lived(trials, str(number), dict(enumerate(curve, start=1)), end)
    for mode, sign in (("max", -1), ("min", 1)):
        rung = rung_of(trials, 3)
        ranks = ranks_of(trials, RUNGS, Objective("score", mode), rung)
        assert list(ranks) == list(trials)
        for name, rank in ranks.items():
            told = trials[name]
            if told.state == "failed":
                assert rank.below == math.inf
            elif rank is not None and rank.below == 0:
                assert rank.loss == sign * told.value_at(rung)
            elif rank is not None:
                assert told.state == "stopped"
                assert max(told.values) < rung


def test_a_trial_that_was_stopped_before_the_lowest_rung_ranks_below_those_that_reached_it():
    """An earlier study may have had lower rungs."""
    trials = {}
    lived(trials, "failed", {}, "failed")
    lived(trials, "before", {1: 0.9}, "stopped")
    lived(trials, "at it", {1: 0.1, 3: 0.1}, "stopped")
    ranks = ranks_of(trials, (3, 9), Objective("score", "max"), 9)
    assert ranks["at it"] < ranks["before"] < ranks["failed"]


class Watched(LearningSearch):
    """Returns the input of a model."""

    def proposal(self, rng):
        return rng.random(len(self.space.parameters)).tolist()


def test_four_trials_at_a_rung_are_enough_to_compare_there_however_many_hyperparameters():
    searcher = Watched(EVERYTHING, seed=0, startup=1)
    study_of(searcher, ASHA(max_epochs=27)).check()
    for index in range(6):
        searcher.on_event(Suggested(trial=index, config=searcher.point(index)), replay=False)
        for epoch in (1, 2, 3)[: 3 if index < ENOUGH else 1]:
            result = Result(trial=index, epoch=epoch, metrics={"score": index / 10})
            searcher.on_event(result, replay=False)
        assert searcher.standing()[0] == (1 if index < ENOUGH - 1 else 3)
    assert len(EVERYTHING.parameters) > ENOUGH
    _, ranks = searcher.standing()
    assert sorted(range(4), key=ranks.get) == [3, 2, 1, 0]
    assert ranks[5] is None
