"""Cases of the benchmark of verdicts, on the recorded runs."""

import itertools

import numpy as np
import pytest
from confirm import (
    OBJECTIVE,
    ROUNDS,
    TRIALS,
    TRUTH,
    Truth,
    all_seeds,
    case_of,
    confirmed,
    race,
    scores,
    study_of,
    truth_of,
)
from seeded_runs import DATASETS, EPOCHS, FRESH, POOL, read_table

from tune_cluster.reports.verdict import judge


@pytest.fixture(scope="module", params=DATASETS)
def table(request):
    return read_table(request.param)


def case(table, number=0):
    """Return a case whose candidates were all recorded, with its number."""
    recorded = {config for config, seed in table if seed in FRESH}
    for at in itertools.count(number):
        study = study_of(table, at)
        if recorded.issuperset(study.candidates):
            return case_of(table, at, study)


def test_all_that_is_confirmed_has_been_recorded(table):
    assert {(config, seed) for config in confirmed(table) for seed in FRESH} <= table.keys()


def test_a_study_is_one_with_early_stopping_and_the_defaults_are_a_candidate(table):
    study = study_of(table, 0)
    assert TRIALS < study.epochs < TRIALS * EPOCHS / 4
    assert POOL in study.candidates
    assert len(set(study.candidates)) == len(study.candidates) >= 5


def test_a_case_is_the_same_each_time(table):
    first, again = case(table, 3), case(table, 3)
    assert first.study == again.study
    assert first.truth == again.truth


def test_confirmation_and_truth_share_no_run(table):
    found = case(table, 1)
    assert len(FRESH) >= ROUNDS + TRUTH
    assert all(len(own) == ROUNDS for own in found.values.values())
    for name, own in found.values.items():
        config = POOL if name == "defaults" else int(name.split()[1])
        rest = sum(table[config, seed].max() for seed in FRESH) - sum(c.max() for c in own)
        assert found.truth.means[name] == pytest.approx(rest / TRUTH)


def test_a_race_costs_no_more_than_all_seeds(table):
    found = case(table, 2)
    (_, few), (_, all_epochs) = race(found), all_seeds(found)
    assert few <= all_epochs == ROUNDS * EPOCHS * len(found.values)


def test_the_truth_tells_a_lead_from_a_tie():
    rng = np.random.default_rng(0)
    shared = rng.normal(0, 0.05, 30)
    values = {name: mean + shared for name, mean in (("a", 0.9), ("b", 0.88), ("c", 0.9))}
    noisy = {name: list(own + rng.normal(0, 0.005, 30)) for name, own in values.items()}
    assert {truth_of(noisy).best, *truth_of(noisy).tied} == {"a", "c"}
    assert truth_of({name: noisy[name] for name in "ab"}).kind == "better"


@pytest.mark.parametrize(
    ("means", "tied", "agrees", "within"),
    [
        ({"a": 0.9, "b": 0.8}, (), False, False),
        ({"a": 0.9, "b": 0.898}, (), False, True),
        ({"a": 0.898, "b": 0.9}, (), False, True),
        ({"a": 0.8, "b": 0.9}, (), False, False),
        ({"a": 0.9, "b": 0.899}, ("b",), True, True),
    ],
)
def test_a_tie_agrees_with_a_tie_or_with_a_small_lead(means, tied, agrees, within):
    verdict = judge({"a": [0.9], "b": [0.8]}, OBJECTIVE, rounds=1)
    assert (verdict.kind, verdict.best) == ("tie", "a")
    truth = Truth(max(means, key=means.get), frozenset(tied), means)
    found = scores(truth, verdict)
    assert (found["agrees"], found["agrees_within_0.3"]) == (agrees, within)
