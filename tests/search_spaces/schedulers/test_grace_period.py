"""The grace period that decides itself: which rungs are asked, used and left out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces.schedulers.asha import ASHA
from search_spaces.schedulers.expectation import expected
from search_spaces.schedulers.rungs import RULES, UNSELECTED, Rungs
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.space import Space
from search_spaces.trial_events import Decision, Ended, Promoted, RungJudged
from tests.search_spaces.conftest import parameter, study_of
from tests.search_spaces.schedulers.driver import Driver

LAST = 9


def asha(mode="max", rule="promotion", max_epochs=LAST, **options):
    scheduler = ASHA(max_epochs=max_epochs, rung_rule=rule, **options)
    study_of(scheduler=scheduler, mode=mode).check()
    return scheduler


def steady(quality, epochs=LAST):
    """A curve whose rank never changes."""
    return [quality * (1 + epoch / 100) for epoch in range(1, epochs + 1)]


def turning(quality, at):
    """A curve that is the better from epoch `at` on, the worse it was before."""
    return [quality if epoch >= at else -quality for epoch in range(1, LAST + 1)]


QUALITIES = [0.5, 0.1, 0.7, 0.3, 0.6, 0.2, 0.9, 0.4, 0.8]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("workers", [1, 4])
def test_a_rung_that_ranks_is_used_and_no_rung_above_it_is_judged(rule, workers):
    study = Driver(asha(rule=rule), [steady(q) for q in QUALITIES]).run(workers)
    assert study.judged == [(1, True)]
    (judged,) = study.told(RungJudged)
    assert (judged.next, judged.agreement) == (3, 1.0)
    gone_on = {d.trial for d in study.told(Decision) if d.rung == 1 and not d.stop}
    assert gone_on >= set(range(UNSELECTED)), "the first go on whatever their rank"
    assert any(d.stop for d in study.told(Decision) if d.rung == 1), "all others by the rule"


def test_a_rung_that_does_not_rank_is_left_out_and_all_its_trials_continue():
    study = Driver(asha(), [turning(q, at=3) for q in QUALITIES]).run(workers=6)
    judged, above = study.told(RungJudged)
    assert (judged.rung, judged.next, judged.agreement, judged.used) == (1, 3, 0.0, False)
    assert (above.rung, above.next, above.used) == (3, 9, True)
    at = study.journal.index(judged)
    before = [d for d in study.journal[:at] if isinstance(d, Decision) and d.rung == 1]
    assert not any(d.rung == 1 for d in study.journal[at:] if isinstance(d, Decision))
    waiting = {d.trial for d in before if d.stop}
    promoted = [p for p in study.told(Promoted) if p.rung == 1]
    assert waiting
    assert {p.trial for p in promoted} == waiting
    assert all(epoch >= 3 for epoch in study.at.values()), "nobody stays below rung 3"
    assert study.scheduler.rungs == [3]
    assert study.scheduler.describe()["rungs"] == [1, 3]


def test_the_best_trials_of_a_rung_that_is_left_out_continue_first():
    rungs = Rungs(27, adaptive=True)
    for trial, value in enumerate([0.1, 0.2, 0.3, 0.4, 0.05, 0.06]):
        rungs.report(trial, 1, value)
    assert list(rungs.promotable()) == []
    for trial in range(4):
        rungs.report(trial, 3, -trial)
    judged = rungs.judgement()
    assert not judged.used
    rungs.judge(judged)
    assert [p.trial for p in rungs.promotable() if p.rung == 1] == [5, 4]
    assert rungs.report(7, 1, 0.0) is None, "who comes now passes it"
    assert rungs.report(7, 3, 0.0).rung == 3


def test_after_a_judgement_the_first_two_trials_at_the_next_rung_continue_beside_its_best():
    rungs = Rungs(27, adaptive=True)
    for trial, value in enumerate([0.1, 0.2, 0.3, 0.4]):
        assert not rungs.report(trial, 1, value).stop
    for trial in (3, 2, 1, 0):
        rungs.report(trial, 3, -trial)
    assert list(rungs.promotable()) == [], "as long as the rung below is asked"
    rungs.judge(rungs.judgement())
    assert rungs.asked == 3
    # The best of four by the rule, and the two that came first.
    assert [p.trial for p in rungs.promotable()] == [0, 2, 3]


def test_if_half_of_the_pairs_agree_four_more_trials_continue_before_the_judgement():
    rungs = Rungs(27, adaptive=True)
    ahead = [0.0, -1.0, -2.0, -3.0, 0.5, 0.6, 0.7, 0.8]
    for trial, value in enumerate([0.4, 0.1, 0.2, 0.3]):
        rungs.report(trial, 1, value)
        rungs.report(trial, 3, ahead[trial])
    assert rungs.judgement() is None, "three of six say nothing"
    for trial in range(4, 8):
        assert not rungs.report(trial, 1, -trial / 100).stop, "the worst so far, and goes on"
        assert rungs.judgement() is None
    assert rungs.report(8, 1, -1.0).stop, "eight are asked"
    for trial in range(4, 8):
        assert rungs.judgement() is None
        rungs.report(trial, 3, ahead[trial])
    judged = rungs.judgement()
    assert (judged.pairs, judged.used) == (28, False)


def test_a_trial_that_was_excused_from_a_rung_adds_no_promotion_at_the_next_rung():
    rungs = Rungs(27, adaptive=True)
    for trial, value in enumerate([0.1, 0.3, 0.2, 0.25]):
        rungs.report(trial, 1, value)
    assert rungs.rungs[1].excused == {0, 1, 2, 3}, "nobody is the best of three at once"
    assert all(rungs.report(trial, 3, -trial).stop for trial in range(4))
    assert list(rungs.promotable()) == [], "by rank one of the four would have come: the best"
    assert not rungs.judgement().used
    rungs.judge(RungJudged(rung=1, next=3, pairs=6, agreement=1.0, used=True))
    for trial in range(4, 9):
        rungs.report(trial, 1, 0.0)
    # Three of nine by now, as by the rule from the beginning.
    assert [p.trial for p in rungs.promotable()] == [0]


def test_where_no_rung_ranks_all_trials_are_trained_to_their_end():
    curves = [[q, q, -q, q, q, q, q, q, q] for q in QUALITIES]
    study = Driver(asha(), curves).run(workers=3)
    assert study.judged == [(1, False), (3, False)]
    assert set(study.at.values()) == {LAST}


@pytest.mark.parametrize("rule", ["top", "ray"])
def test_without_promotion_later_trials_pass_a_rung_that_is_left_out(rule):
    study = Driver(asha(rule=rule), [turning(q, at=3) for q in QUALITIES]).run()
    assert study.judged[0] == (1, False)
    at_first = {d.trial for d in study.told(Decision) if d.rung == 1}
    assert at_first == set(range(UNSELECTED))
    assert study.told(Promoted) == []


@pytest.mark.parametrize("mode", ["max", "min"])
def test_a_rung_is_judged_alike_in_both_modes(mode):
    sign = 1 if mode == "max" else -1
    curves = [[sign * value for value in turning(q, at=3)] for q in QUALITIES]
    assert Driver(asha(mode), curves).run(2).judged[0] == (1, False)


def test_pairs_of_trials_that_the_rung_selected_are_not_counted():
    rungs = Rungs(27, adaptive=True)
    for trial in range(3):
        rungs.report(trial, 1, float(trial))
    for trial in range(3, 9):
        rungs.report(trial, 1, 10.0 + trial)
    chosen = [*rungs.rungs[1].passed - set(range(4))]
    assert len(chosen) > 1
    for trial in [0, 1, *chosen]:
        rungs.report(trial, 3, 1.0)
        assert rungs.judgement() is None, "two of the unselected are still to come"
    rungs.report(2, 3, 2.0)
    rungs.report(3, 3, 3.0)
    four = 4 * 3 // 2
    assert rungs.judgement().pairs == four + 4 * len(chosen)


def test_a_rung_that_cannot_tell_trials_apart_does_not_rank_them():
    curves = [[0.1, *[q] * (LAST - 1)] for q in QUALITIES]
    assert Driver(asha(), curves).run().judged[0] == (1, False)


def test_in_place_of_an_unselected_trial_that_fails_the_next_one_is_taken():
    curves = [steady(q) for q in QUALITIES]
    curves[1][1] = None
    study = Driver(asha(), curves).run()
    assert study.judged == [(1, True)]
    fifth = next(d for d in study.told(Decision) if d.trial == 4)
    assert not fifth.stop
    (judged,) = study.told(RungJudged)
    assert judged.pairs == 6


def test_a_stopped_trial_is_promoted_in_place_of_an_unselected_one_that_fails_later():
    rungs = Rungs(27, adaptive=True)
    for trial, value in enumerate([0.9, 0.8, 0.7, 0.6, 0.1]):
        rungs.report(trial, 1, value)
    assert list(rungs.promotable()) == []
    rungs.report_end(0, None)
    rungs.report_failure(0, 2)
    assert [p.trial for p in rungs.promotable()] == [4]


def test_a_trial_that_ends_blamelessly_does_not_delay_the_judgement():
    study = Driver(asha(), [steady(q) for q in QUALITIES])
    steps = study.steps(workers=4)
    for _ in range(4):
        next(steps)
    study.emit(Ended(trial=2, epoch=2, status="failed", blameless=True))
    for _ in steps:
        pass
    assert study.judged == [(1, True)]


def test_a_study_with_fewer_trials_than_a_judgement_needs_lets_all_of_them_continue():
    study = Driver(asha(), [steady(q) for q in QUALITIES[: UNSELECTED - 1]]).run()
    assert study.judged == []
    assert not any(d.stop for d in study.told(Decision) if d.rung == 1)


def test_a_trial_that_ends_by_itself_counts_with_its_last_value():
    curves = [steady(q) for q in QUALITIES]
    curves[0] = [0.5, -9.0]
    study = Driver(asha(), curves).run()
    (judged,) = study.told(RungJudged)
    # It was better than two of the other three, and is worse than all in the end.
    assert (judged.pairs, judged.agreement) == (6, pytest.approx(4 / 6))


def test_a_rung_that_no_trial_reports_at_is_not_judged():
    """Trials that report every tenth epoch."""
    rungs = Rungs(27, adaptive=True)
    for trial in range(4):
        decision = rungs.report(trial, 10, float(trial))
        assert (decision.rung, decision.stop) == (9, False)
        rungs.report_end(trial, float(trial))
    judged = rungs.judgement()
    assert (judged.rung, judged.next, judged.used) == (9, 27, True)


def test_rungs_begin_when_trials_have_settled():
    warm_up = parameter("epochs_warmup", default=0, low=0, high=1.5)
    searcher = RandomSearch(Space("warm", (warm_up,)), seed=0)
    scheduler = ASHA(max_epochs=27)
    study_of(searcher, scheduler).check()
    assert list(scheduler.rungs) == scheduler.describe()["rungs"] == [2, 6, 18]
    assert scheduler.describe()["grace_period"] is None


def test_a_warm_up_as_long_as_the_trial_stops_none_and_gives_a_note():
    warm_up = parameter("epochs_warmup", default=0, low=0, high=9)
    searcher = RandomSearch(Space("warm", (warm_up,)), seed=0)
    scheduler = ASHA(max_epochs=5)
    study_of(searcher, scheduler).check()
    assert list(scheduler.rungs) == []
    assert any("warm-up or freezing may last all 5 epochs" in n for n in scheduler.notes(64))
    with pytest.raises(ValueError, match=r"--audit 0\.5: no rung below"):
        study_of(searcher, ASHA(max_epochs=5, audit=0.5)).check()


def test_the_cost_estimate_includes_the_unselected_trials():
    asked = expected(Rungs(27, adaptive=True), trials=64, concurrent=4)
    fixed = expected(Rungs(27), trials=64, concurrent=4)
    assert fixed.reaching[3] < asked.reaching[3] <= fixed.reaching[3] + UNSELECTED
    left_out = Rungs(27, adaptive=True)
    judged = RungJudged(rung=1, next=3, pairs=6, agreement=0.5, used=False)
    left_out.judge(judged)
    assert expected(left_out, trials=64, concurrent=4).reaching[3] == 64


def test_all_stopped_trials_may_continue_while_their_rung_may_be_left_out():
    rungs = Rungs(27, adaptive=True)
    for trial in range(12):
        rungs.report(trial, 1, -float(trial))
    stopped = [place[2] for place in rungs.rungs[1].stopped]
    assert rungs.may_continue(12) == (stopped, [])
    for trial in range(4):
        rungs.report(trial, 3, -float(trial))
    rungs.judge(rungs.judgement())
    assert set(rungs.may_continue(12)[1]) >= set(range(4, 12)) - rungs.rungs[1].passed


@pytest.mark.parametrize(
    ("judged", "line"),
    [
        (
            RungJudged(rung=1, next=3, pairs=11, agreement=5 / 11, used=False),
            "judged     rung 1 is left out: of 11 pairs of trials 5 have the same order at epoch 3 "
            "(45%, at least 67% is required)",
        ),
        (
            RungJudged(rung=3, next=9, pairs=1, agreement=1.0, used=True),
            "judged     rung 3 is used: of 1 pair of trials 1 has the same order at epoch 9 (100%, "
            "at least 67% is required)",
        ),
    ],
)
def test_a_judged_rung_is_printed_in_one_line_with_its_number(judged, line):
    assert judged.line("score") == line


def test_a_judged_rung_in_the_journal_is_kept_on_replay():
    """An earlier version may have asked for another share."""
    first = Driver(asha(), [steady(q) for q in QUALITIES]).run()
    (judged,) = first.told(RungJudged)
    at = first.journal.index(judged)
    other = RungJudged(rung=1, next=3, pairs=6, agreement=0.5, used=False)
    resumed = asha()
    for event in [*first.journal[:at], other]:
        resumed.on_event(event, replay=True)
    assert RungJudged not in map(type, resumed.take_events())
    assert resumed.memory.rungs[1].used is False
    assert resumed.memory.asked == 3


def test_with_a_fixed_grace_period_no_rung_is_judged():
    study = Driver(asha(grace_period=1), [turning(q, at=3) for q in QUALITIES]).run()
    assert study.judged == []
    assert study.told(Decision)[0].stop, "by promotion nobody goes on before there are three"


values = st.sampled_from([0.0, 0.1, 0.2, 0.3, 0.4, 0.5])
curves = st.lists(
    st.one_of(
        st.lists(values, min_size=LAST, max_size=LAST),
        st.lists(values, min_size=1, max_size=LAST),
        st.lists(values, max_size=LAST - 1).map(lambda curve: [*curve, None]),
    ),
    min_size=4,
    max_size=14,
)
modes, rules = st.sampled_from(["max", "min"]), st.sampled_from(sorted(RULES))


@given(curves, modes, rules, st.data())
def test_with_one_trial_at_a_time_a_resumed_study_equals_an_uninterrupted_one(
    curves, mode, rule, data
):
    whole = Driver(asha(mode, rule), curves).run()
    cut = data.draw(st.integers(0, len(whole.journal)))
    # The end of a trial by itself is written with its last result, and has no other event.
    while any(
        isinstance(e, Ended) and e.status == "finished" for e in whole.journal[cut : cut + 1]
    ):
        cut += 1
    resumed = Driver(asha(mode, rule), curves, whole.journal[:cut]).run()
    assert resumed.journal == whole.journal
    assert resumed.scheduler.memory == whole.scheduler.memory


@given(curves, modes, rules, st.integers(1, 5), st.lists(st.integers(0, 4), min_size=1), st.data())
def test_with_several_trials_at_a_time_a_resumed_study_decides_as_the_killed_one(
    curves, mode, rule, workers, turns, data
):
    live = Driver(asha(mode, rule), curves)
    most = data.draw(st.integers(1, 60))
    for _ in zip(range(most), live.steps(workers, turns), strict=False):
        pass
    resumed = Driver(asha(mode, rule), curves, live.journal)
    assert resumed.journal == live.journal, "nothing is missing"
    assert resumed.scheduler.memory == live.scheduler.memory
    assert resumed.scheduler.next_promotion() == live.scheduler.next_promotion()
    rest = [study.steps(workers, turns) for study in (live, resumed)]
    for steps in rest:
        for _ in steps:
            pass
    assert resumed.journal == live.journal


@given(curves, modes, rules, st.integers(1, 5))
def test_each_rung_is_judged_once_the_lowest_first_and_none_after_one_that_is_used(
    curves, mode, rule, workers
):
    study = Driver(asha(mode, rule), curves).run(workers)
    asked = [rung for rung, _ in study.judged]
    assert asked == sorted(set(asked))
    assert not any(used for _, used in study.judged[:-1])
    for event in study.told(RungJudged):
        assert event.used == (3 * round(event.agreement * event.pairs) >= 2 * event.pairs)
