"""Expected cost of a study under ASHA."""

import pytest

from search_spaces.schedulers.expectation import expected, simulated
from search_spaces.schedulers.rungs import RULES, Rungs


@pytest.mark.parametrize(
    ("rule", "least", "most"),
    # By `top` more than the ideal 64 / 3 continue: early trials are compared with few. By promotion
    # it is the ideal, plus the trials that continued before better ones came.
    [("top", 64 / 3 * 0.9, 32), ("promotion", 21, 64 / 3 * 1.15)],
)
def test_every_trial_reaches_the_first_rung_and_fewer_reach_each_further_one(rule, least, most):
    expectation = expected(Rungs(27, rule=rule), trials=64, concurrent=2)
    reaching = list(expectation.reaching.values())
    assert list(expectation.reaching) == [1, 3, 9, 27]
    assert reaching[0] == 64
    assert reaching == sorted(reaching, reverse=True)
    assert least <= reaching[1] < most
    assert expectation.epochs == pytest.approx(
        reaching[0] + 2 * reaching[1] + 6 * reaching[2] + 18 * reaching[3]
    )


def test_one_trial_alone_is_trained_to_the_end_by_rule_top_and_not_by_promotion():
    alone = {rule: expected(Rungs(9, rule=rule), trials=1, concurrent=4) for rule in RULES}
    assert alone["top"].reaching == alone["ray"].reaching == {1: 1, 3: 1, 9: 1}
    assert alone["promotion"].reaching == {1: 1, 3: 0, 9: 0}


@pytest.mark.parametrize("rule", RULES)
def test_without_rungs_every_trial_runs_to_the_end(rule):
    expectation = expected(Rungs(5, grace_period=5, rule=rule), trials=7, concurrent=2)
    assert (expectation.reaching, expectation.epochs) == ({5: 7}, 35)


def test_under_promotion_27_trials_are_needed_for_one_to_reach_epoch_27():
    # Later trials are worse: none continues that is not among the best third in the end.
    for trials, reaching in ((26, [26, 8, 2, 0]), (27, [27, 9, 3, 1])):
        stations = [station for station, _ in simulated(Rungs(27), range(trials, 0, -1), 2)]
        assert [stations.count(station) for station in (1, 3, 9, 27)] == reaching


def test_the_expectation_of_a_large_study_is_proportional():
    small = expected(Rungs(27), trials=640, concurrent=8)
    large = expected(Rungs(27), trials=6400, concurrent=8)
    assert large.epochs == pytest.approx(10 * small.epochs)
    assert large.makespan == pytest.approx(10 * small.makespan)
    assert large.reaching[1] == 6400


def test_the_makespan_includes_the_wait_for_the_last_trials():
    def without_rungs(trials, concurrent):
        return expected(Rungs(5, grace_period=5), trials=trials, concurrent=concurrent).makespan

    assert without_rungs(4, 2) == 10
    assert without_rungs(4, 3) == 10, "the fourth begins when the others have ended"
    assert without_rungs(4, 50) == 5
    one_by_one = expected(Rungs(27), trials=64, concurrent=1)
    assert one_by_one.makespan == pytest.approx(one_by_one.epochs)
    wide = expected(Rungs(27), trials=64, concurrent=64)
    assert wide.makespan >= 27
    assert wide.makespan > wide.epochs / 64
