"""Which studies may couple the passes of a trial with its batch size."""

import pytest

from search_spaces.catalogue import BATCH_SIZE, EPOCHS_SCALING, LEARNING_RATE
from search_spaces.schedulers.asha import ASHA
from search_spaces.schedulers.pbt import PBT
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.space import Space
from tests.search_spaces.conftest import study_of

SPACE = Space("sizes", (LEARNING_RATE, BATCH_SIZE))


def under_rungs(space, **options):
    return study_of(RandomSearch(space, seed=0), ASHA(max_epochs=27, **options))


@pytest.mark.parametrize("options", [{}, {"grace_period": 3}])
def test_rungs_need_the_smallest_batch_size_as_the_base(options):
    coupled = SPACE.fix(epochs_scaling="equal_updates")
    with pytest.raises(ValueError, match="base_batch_size 128 and batch_size 8"):
        under_rungs(coupled, **options).check()
    under_rungs(coupled.fix(base_batch_size=8), **options).check()
    under_rungs(SPACE.fix(epochs_scaling="none"), **options).check()
    under_rungs(coupled.fix(batch_size=512), **options).check()
    # Without a rung each trial runs to its own end.
    under_rungs(coupled, grace_period=27).check()


def test_a_searched_epochs_scaling_is_checked_too():
    searched = Space("sizes", (*SPACE.parameters, EPOCHS_SCALING))
    with pytest.raises(ValueError, match="give base_batch_size=8"):
        under_rungs(searched).check()


def test_a_population_cannot_exchange_states_of_runs_of_other_lengths():
    population = {"perturbed": ["learning_rate"], "max_epochs": 9, "interval": 3, "seed": 0}
    PBT(SPACE, **population)
    with pytest.raises(ValueError, match="give epochs_scaling=none"):
        PBT(SPACE.fix(epochs_scaling="sqrt"), **population)
