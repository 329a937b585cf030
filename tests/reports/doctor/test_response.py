"""Whether the metric becomes better towards an end of a range, over all trials of a study."""

import math

import pytest

from tests.reports.made_up import BATCH, RATE, study, trial
from tune_cluster.reports.doctor.boundaries import boundaries
from tune_cluster.reports.doctor.response import rises_to
from tune_cluster.reports.doctor.trials import ranked

RATES = [1e-4 * 1000 ** ((at + 0.5) / 24) for at in range(24)]


def trials(value_of, rates=RATES):
    """Return a trial for each rate; its batch size shifts the value, as in a real study."""
    return [
        trial(
            value_of(math.log10(rate)) - 0.05 * (at * 7 % 3),
            rate=rate,
            batch=(32, 64, 128)[at * 7 % 3],
        )
        for at, rate in enumerate(rates)
    ]


CASES = {
    "up to the upper end": (lambda x: 0.5 + 0.1 * x, "upper"),
    "up to the lower end": (lambda x: 0.5 - 0.1 * x, "lower"),
    "up to the middle": (lambda x: 0.9 - 0.1 * (x + 2.5) ** 2, None),
    "up to a quarter from the end": (lambda x: 0.9 - 0.1 * (x + 1.75) ** 2, None),
    "not at all": (lambda x: 0.5 + 0.1 * math.sin(40 * x), None),
}


@pytest.mark.parametrize(("value_of", "end"), CASES.values(), ids=CASES)
def test_a_rise_to_an_end_is_seen_whatever_another_hyperparameter_adds(tmp_path, value_of, end):
    stored = study(tmp_path, trials(value_of))
    for one in ("lower", "upper"):
        chance = rises_to(one, RATE, ranked(stored), stored)
        assert (chance < 0.05) == (one == end), (one, chance)


def test_too_few_trials_say_nothing(tmp_path):
    stored = study(tmp_path, trials(lambda x: x, RATES[:9]))
    assert rises_to("upper", RATE, ranked(stored), stored) is None


def test_a_range_is_moved_where_the_best_come_close_to_an_end_that_few_trials_have_tried(tmp_path):
    """No trial is in the outer tenth; all become better towards it."""
    rates = [rate for rate in RATES if rate < 0.1 / 1000**0.12]
    stored = study(tmp_path, trials(lambda x: 0.9 + 0.1 * x, rates), parameters=(RATE, BATCH))
    (found,) = boundaries(stored)
    assert found.verdict == "warn"
    assert [advice.search for advice in found.advice] == [("learning_rate=log:0.0003162:1",)]
