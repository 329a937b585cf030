"""What a person is shown before a study begins."""

import pytest

from search_spaces.asha import ASHA
from tune_jobs.runtime.plan import rung_notes


def notes(trials, *, there=True, **options):
    asha = ASHA(**{"max_epochs": 27, **options})
    asha.check_checkpoints(there)
    return rung_notes(asha, trials)


def test_with_too_few_trials_for_one_to_get_to_the_end_it_says_how_many_there_must_be():
    (note,) = notes(26)
    assert "one trial in 27 is trained for 27 epochs, of 26 perhaps none: give 27 trials" in note
    assert notes(27) == []
    assert notes(9, grace_period=3) == []
    assert notes(8, grace_period=3) != []
    assert notes(1, grace_period=27) == []


@pytest.mark.parametrize("rule", ["top", "ray"])
def test_where_the_first_trial_goes_on_there_is_nothing_to_say(rule):
    assert notes(1, rung_rule=rule) == []
    assert notes(1, rung_rule=rule, there=False) == []


def test_that_nobody_can_be_promoted_is_said_where_nobody_asked_for_it():
    (note,) = notes(1, there=False)
    assert "no save_checkpoint" in note
