"""Start points of earlier studies are tried as long as they are good in this one."""

import pytest

from search_spaces.searchers.gp_search import GPSearch
from search_spaces.searchers.optuna_search import OptunaSearch
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.searchers.sobol_search import SobolSearch
from search_spaces.searchers.tpe_search import TPESearch
from search_spaces.trial_events import (
    Ended,
    EpochsLost,
    Result,
    StartPoint,
    StartPointsLeftOut,
    Suggested,
)
from tests.search_spaces.conftest import EVERYTHING, study_of

RATES = [0.1, 0.11, 0.12, 0.13, 0.14, 0.15]
"""Number of points of earlier studies."""

every = pytest.mark.parametrize(
    "kind", [RandomSearch, SobolSearch, GPSearch, TPESearch, OptunaSearch]
)


class Run:
    """A study that begins with the defaults and then as earlier studies suggest."""

    def __init__(self, searcher, *, rates=RATES, mode="max", journal=()):
        self.searcher, self.journal = searcher, []
        study_of(searcher, mode=mode).check()
        for event in journal or [StartPoint(study="s", config={"rate": rate}) for rate in rates]:
            self.tell(event, replay=bool(journal))

    def tell(self, *events, replay=False):
        for event in events:
            self.journal.append(event)
            self.searcher.on_event(event, replay)

    def suggest(self, index):
        config = self.searcher.point(index)
        self.tell(Suggested(trial=index, config=config))
        return config

    def end(self, index, *values, status="finished"):
        """A trial ends, with a value for each epoch."""
        for epoch, value in enumerate(values, start=1):
            self.tell(Result(trial=index, epoch=epoch, metrics={"score": value}))
        self.tell(Ended(trial=index, epoch=max(len(values), 1), status=status))

    def rates(self, first, *last):
        """The rates of trials that are suggested one after the other."""
        return [self.suggest(index)["rate"] for index in range(first, *last)]


def begun(kind=RandomSearch, **options):
    """Trials 0 to 4: the defaults, three of earlier studies, and the searcher's own."""
    run = Run(kind(EVERYTHING, seed=0, start_points=[{}]), **options)
    first = run.rates(0, 5)
    assert first[1:4] == RATES[:3]
    assert first[4] not in RATES
    return run


@every
def test_if_earlier_points_beat_a_point_of_the_searcher_the_others_are_tried(kind):
    run = begun(kind)
    for index, value in enumerate((0.9, 0.2, 0.6, 0.3, 0.5)):
        run.end(index, value)
    assert run.rates(5, 8) == RATES[3:]
    assert run.suggest(8)["rate"] not in RATES
    assert run.searcher.take_events() == []


@every
def test_if_a_point_of_the_searcher_beats_three_earlier_ones_no_other_is_tried(kind):
    run = begun(kind)
    for index, value in enumerate((0.9, 0.2, 0.3, 0.4, 0.5)):
        run.end(index, value)
    assert not {*run.rates(5, 9)} & {*RATES}
    left_out = StartPointsLeftOut(trial=4, better_than=[1, 2, 3], points=3)
    assert run.searcher.take_events() == [left_out]
    assert run.searcher.take_events() == []
    assert "trial 4" in left_out.line("score")


def test_in_a_study_that_minimises_smaller_values_decide_about_earlier_points():
    run = begun(mode="min")
    for index, value in enumerate((0.1, 0.7, 0.8, 0.9, 0.6)):
        run.end(index, value)
    assert len(run.searcher.take_events()) == 1


def test_the_searcher_suggests_while_the_first_earlier_points_run():
    run = begun()
    for index in (4, 1, 2):
        run.end(index, 0.5)
    assert not {*run.rates(5, 7)} & {*RATES}
    run.end(3, 0.6)
    assert run.suggest(7)["rate"] == RATES[3]


def test_trials_are_compared_at_the_last_epoch_that_all_have_reached():
    run = begun()
    # A trial that continues is better in the end, as every trial is.
    run.end(1, 0.5, 0.6, status="stopped")
    run.end(2, 0.4, status="stopped")
    run.end(3, 0.3, 0.5, status="stopped")
    run.end(4, 0.45, 0.8, 0.9)
    assert run.suggest(5)["rate"] == RATES[3]


def test_results_that_were_lost_do_not_count():
    run = begun()
    for index in (1, 2, 3):
        run.end(index, 0.5)
    run.tell(Result(trial=4, epoch=1, metrics={"score": 0.9}), EpochsLost(trial=4, first=1, last=1))
    run.end(4, 0.1)
    assert run.suggest(5)["rate"] == RATES[3]


@pytest.mark.parametrize(
    ("failed", "helpful"),
    [({4}, True), ({1, 2}, True), ({1, 2, 3}, False), ({1, 2, 3, 4}, True)],
)
def test_a_failed_trial_is_worse_than_all_others(failed, helpful):
    run = begun()
    for index in (1, 2, 3, 4):
        if index in failed:
            run.end(index, status="diverged")
        else:
            run.end(index, 0.4 if index == 4 else 0.5)
    assert (run.suggest(5)["rate"] == RATES[3]) is helpful


@pytest.mark.parametrize("value", [0.1, 0.9])
def test_a_resumed_study_continues_with_the_same_points(value):
    run = begun()
    for index in (1, 2, 3):
        run.end(index, 0.5)
    run.end(4, value)
    searcher = RandomSearch(EVERYTHING, seed=0, start_points=[{}])
    resumed = Run(searcher, journal=run.journal)
    assert searcher.take_events() == run.searcher.take_events(), "what the journal lacks"
    assert resumed.rates(5, 9) == run.rates(5, 9)


def test_a_decision_in_the_journal_is_not_made_again():
    run = begun()
    for index in (1, 2, 3):
        run.end(index, 0.5)
    run.end(4, 0.9)
    run.tell(*run.searcher.take_events())
    searcher = RandomSearch(EVERYTHING, seed=0, start_points=[{}])
    resumed = Run(searcher, journal=run.journal)
    assert searcher.take_events() == []
    assert not {*resumed.rates(5, 9)} & {*RATES}


def test_three_earlier_points_are_tried_without_a_decision_on_more():
    run = Run(RandomSearch(EVERYTHING, seed=0), rates=RATES[:3])
    assert run.rates(0, 3) == RATES[:3]
    for index in range(3):
        run.end(index, 0.1)
    run.suggest(3)
    run.end(3, 0.9)
    assert run.searcher.take_events() == []


def test_a_point_that_is_one_of_the_study_itself_is_not_tried_again():
    run = Run(RandomSearch(EVERYTHING, seed=0, start_points=[{"rate": 0.1}]))
    assert run.rates(0, 4) == RATES[:4]


def test_random_points_keep_some_values_of_earlier_points_that_are_good_in_this_study():
    def studied(value):
        run = Run(RandomSearch(EVERYTHING, seed=0, start_points=[{}], around_defaults=True))
        run.rates(0, 5)
        for index in (1, 2, 3):
            run.end(index, 0.5)
        run.end(4, value)
        return run.rates(5, 8), run.rates(8, 60)

    helpful, after = studied(0.1)
    assert helpful == RATES[3:]
    assert len({*RATES} & {*after}) >= 4
    misled, after = studied(0.9)
    assert not {*misled, *after} & {*RATES}
