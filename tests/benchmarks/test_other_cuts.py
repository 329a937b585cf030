"""Rules that set how hard rungs cut."""

from types import SimpleNamespace

import numpy as np
import pytest
from other_cuts import CUTS, LEAST, MOST, SET, OtherCuts, Rule, Seen, containing, fixed
from replay import Curve, OurStudy, replay

from search_spaces.schedulers.asha import ASHA
from search_spaces.searchers.random_search import RandomSearch
from tests.search_spaces.conftest import EVERYTHING


def seen(*, noise, count=27, seed=0):
    """All trials of a rung have come to the next, where their order is another one by noise."""
    rng = np.random.default_rng(seed)
    here = np.sort(rng.standard_normal(count))
    return Seen(1 / 3, here, here, here + noise * rng.standard_normal(count))


@pytest.mark.parametrize("name", ["agreement", "containing_90", "reach"])
def test_a_rung_that_ranks_badly_promotes_a_larger_share(name):
    well, badly = (np.mean([SET[name](seen(noise=n, seed=s)) for s in range(20)]) for n in (0.1, 2))
    assert well < badly


def test_a_rung_whose_control_trials_became_the_best_promotes_a_larger_share():
    here = np.arange(9.0)
    turned, kept = (SET["control"](Seen(1 / 3, here, here, there)) for there in (-here, here))
    assert kept < 1 / 3 < turned


def test_a_higher_probability_to_contain_the_best_promotes_a_larger_share():
    shares = [containing(seen(noise=1.0), probability) for probability in (0.75, 0.9, 0.95)]
    assert shares == sorted(shares)
    assert shares[0] < shares[-1]


def studied(scheduler):
    """Return the cost of a study with trials in random order, by its trials and epochs."""
    searcher = RandomSearch(EVERYTHING, seed=0)
    strategy = OurStudy(searcher, scheduler, epochs=27, trials=200)
    rng = np.random.default_rng(0)

    def train(config):
        values = rng.random() + 0.3 * rng.random(27) + np.arange(27) / 27
        return Curve(values.tolist(), [1.0] * 27)

    found = replay(train, strategy, workers=4, epochs=400)
    return SimpleNamespace(best=found.best, trials=found.trials, memory=scheduler.memory)


def test_a_fixed_share_of_a_third_equals_asha():
    rule = Rule(3, lambda seen: fixed(seen, 1 / 3))
    ours, theirs = studied(OtherCuts(max_epochs=27, rule=rule)), studied(ASHA(max_epochs=27))
    assert (ours.best, ours.trials) == (theirs.best, theirs.trials)


@pytest.mark.parametrize("name", CUTS)
def test_shares_stay_within_their_bounds(name):
    found = studied(OtherCuts(max_epochs=27, rule=CUTS[name]))
    shares = [rung.share for rung in found.memory.rungs.values()]
    assert all(LEAST <= share <= MOST for share in shares)
    assert found.trials > 27
