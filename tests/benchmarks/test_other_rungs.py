"""Brackets of Hyperband and PASHA's growing rungs, as they are compared with ours."""

from collections import Counter

import pytest
from other_rungs import PASHA, Hyperband
from replay import Curve, OurStudy, replay

from search_spaces.searchers.random_search import RandomSearch
from tests.search_spaces.conftest import EVERYTHING

EPOCHS = 27


def reached(scheduler, value_of, *, trials=60):
    """Return how many trials reached each epoch, with values from `value_of`."""
    epochs = Counter()

    def train(config):
        quality = config["rate"]

        class Counted(list[float]):
            def __getitem__(self, at):
                epochs[at + 1] += 1
                return super().__getitem__(at)

        values = Counted(value_of(quality, epoch) for epoch in range(1, EPOCHS + 1))
        return Curve(values, [1.0] * EPOCHS)

    searcher = RandomSearch(EVERYTHING, seed=0)
    study = OurStudy(searcher, scheduler, epochs=EPOCHS, trials=trials)
    replay(train, study, workers=2, epochs=10_000, trials=trials)
    return epochs


def test_brackets_have_the_shares_of_the_loop_of_hyperband():
    scheduler = Hyperband(max_epochs=EPOCHS, seed=0)
    grace = Counter(scheduler.bracket(trial).memory.grace_period for trial in range(10_000))
    assert sorted(grace) == [1, 3, 9, 27]
    whole = 27 + 12 + 6 + 4
    for first, count in ((1, 27), (3, 12), (9, 6), (27, 4)):
        assert grace[first] / 10_000 == pytest.approx(count / whole, abs=0.02)


def test_a_trial_stays_in_its_bracket_and_one_bracket_never_stops_trials():
    epochs = reached(Hyperband(max_epochs=EPOCHS, seed=1), lambda quality, epoch: quality)
    assert epochs[1] == 60
    assert 60 > epochs[2] > epochs[4] > epochs[10] >= epochs[27] > 0


def test_the_top_rung_of_pasha_stays_while_the_order_of_trials_is_stable():
    epochs = reached(PASHA(max_epochs=EPOCHS), lambda quality, epoch: quality)
    assert epochs[3] > 0
    assert epochs[4] == 0


def test_the_top_rung_of_pasha_moves_up_where_two_rungs_disagree():
    turned = reached(PASHA(max_epochs=EPOCHS), lambda q, epoch: q if epoch < 3 else -q)
    assert turned[9] > 0
