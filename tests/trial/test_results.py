"""Reports of a trainable: its numbers and its epochs."""

import json
import math
import threading
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ray.tune.result import AUTO_RESULT_KEYS, SHOULD_CHECKPOINT

from tune_cluster.storage.checkpoints import TrialCheckpoints, name_of
from tune_cluster.storage.store import LocalStore
from tune_cluster.trial.results import (
    LARGEST_EPOCH,
    NOT_METRICS,
    EpochCount,
    History,
    as_number,
    metrics_of,
    numbers_of,
)

NUMBERS = [
    (1, 1),
    (0.5, 0.5),
    (True, 1),
    (Fraction(1, 4), 0.25),
    (Decimal("0.5"), 0.5),
    (10**400, math.inf),
    (-(10**400), -math.inf),
    (np.float32(0.5), 0.5),
    (np.int64(3), 3),
    (np.bool_(True), 1),
    (np.array(0.5), 0.5),
    (np.array([[0.5]]), 0.5),
    (np.longdouble(0.5), 0.5),
    (torch.tensor(0.5, requires_grad=True), 0.5),
    (torch.tensor([2]), 2),
]
NONE = [None, "0.5", b"1", 1j, [1], (), {}, np.zeros(2), torch.zeros(2), np.array("1"), object()]


@pytest.mark.parametrize(("value", "number"), NUMBERS)
def test_a_number_of_any_library_is_a_python_number(value, number):
    found = as_number(value)
    assert found == number
    assert type(found) is type(number)


@pytest.mark.parametrize("value", NONE)
def test_a_value_that_is_no_number_is_none(value):
    assert as_number(value) is None


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.complex_numbers()
    | st.text(max_size=3)
    | st.sampled_from([threading.Lock(), np.zeros(3), object()]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=2) | st.integers() | st.none(), inner, max_size=3)
    ),
)


@given(st.dictionaries(st.text(max_size=3) | st.integers() | st.tuples(), anything, max_size=6))
def test_any_report_can_be_written_and_left_out_values_are_named(report):
    found = numbers_of(report)
    of_steps = [found.step_losses, found.step_scores]
    json.dumps([metrics_of(found.numbers), found.left_out, of_steps], allow_nan=False)
    flat = [name for name, value in report.items() if not isinstance(value, dict)]
    assert {str(name) for name in flat} <= {*found.numbers, *found.left_out, "done"}


def test_steps_and_losses_are_pairs_of_finite_numbers():
    losses = [(np.int64(1), torch.tensor(0.5)), (2, math.nan)]
    assert numbers_of({"step_losses": losses}).step_losses == [[1, 0.5]]
    assert set(numbers_of({"step_losses": [0.9, 0.8]}).left_out) == {"step_losses"}


def test_values_of_steps_are_pairs_by_name():
    scores = {"accuracy": [(1, 0.5), (2, math.nan)], "lost": [(1, math.inf)]}
    assert numbers_of({"step_scores": scores}).step_scores == {"accuracy": [[1, 0.5]]}
    for wrong in ([[1, 0.5]], {"accuracy": [0.5]}, {1: [[1, 0.5]]}, 0.5):
        found = numbers_of({"step_scores": wrong})
        assert (found.step_scores, set(found.left_out)) == ({}, {"step_scores"})


def test_the_keys_that_tune_adds_to_a_result_are_no_metrics():
    # `NOT_METRICS` knows no Ray: a change of Ray's version must compare them here.
    assert {*AUTO_RESULT_KEYS, SHOULD_CHECKPOINT, "done"} <= NOT_METRICS


numbers = st.floats(-1, 50, allow_nan=False) | st.integers(-1, 50)
said = (
    st.none() | numbers | st.sampled_from(["1", True, math.nan, math.inf, [1], LARGEST_EPOCH + 1])
)


def counted(reports, **begun):
    count = EpochCount(**begun)
    return [count.of(report) for report in reports]


@pytest.mark.parametrize(
    ("reports", "epochs"),
    [
        ([None, None, None], [1, 2, 3]),
        ([1, 2, 3.0], [1, 2, 3]),
        ([0, 1, 2], [1, 2, 3]),
        ([0.0, 0.5, 1.0], [1, 1.5, 2]),
        ([10, 20, 30], [10, 20, 30]),
        ([1 / 3, 2 / 3, 1], [0.333333, 0.666667, 1]),
    ],
)
def test_epochs_are_counted_from_0_or_1_in_steps_of_the_trainable_or_without_its_count(
    reports, epochs
):
    found = counted(reports)
    assert found == epochs
    assert [type(epoch) for epoch in found] == [type(epoch) for epoch in epochs]


def test_epochs_continue_to_count_after_a_checkpoint():
    assert counted([None, None], after=4) == [5, 6]
    assert counted([5, 6], after=4) == [5, 6]
    assert counted([4, 5], after=4, from_zero=True) == [5, 6]


def test_an_earlier_epoch_reported_after_a_checkpoint_is_accepted():
    assert counted([1, 2], after=4) == [1, 2]
    assert counted([0, 1], after=4) == [1, 2]


@given(st.lists(said, max_size=12), st.integers(0, 9))
def test_a_report_whose_epoch_does_not_grow_is_refused_with_its_value(reports, after):
    count, last = EpochCount(after), 0
    for report in reports:
        try:
            epoch = count.of(report)
        except ValueError as error:
            refusal = str(error)
        else:
            refusal = ""
        if refusal:
            assert report is not None
            assert "epoch" in refusal
            continue
        assert epoch > last
        assert math.isfinite(epoch)
        last = epoch


epochs = st.integers(1, 10**6 - 1) | st.floats(1e-6, 999, exclude_min=True).map(
    lambda epoch: round(epoch, 6)
)


@given(epochs, epochs)
def test_checkpoint_folders_sort_in_the_order_of_their_epochs(one, another):
    assert (name_of(one) < name_of(another)) == (one < another)
    assert (name_of(one) == name_of(another)) == (one == another)


CONFIG = {"learning_rate": 0.1, "betas": (0.9, 0.99)}


def trained(directory, epochs, config=CONFIG):
    """The checkpoints of a trial that kept its past."""
    checkpoints, past = TrialCheckpoints(LocalStore(directory), "max"), History(config)
    for epoch in range(1, epochs + 1):
        result = {"epoch": epoch, "score": epoch / 10, "step_losses": [[epoch, 0.5]]}
        save = lambda folder: Path(folder, "state").write_text("weights")  # noqa: E731
        checkpoints.write(epoch, result["score"], result, save, **past.to_keep())
        past.add(result)
    return checkpoints


@pytest.mark.parametrize(
    ("reported", "expected"), [(0, [1, 2, 3, 4]), (2, [3, 4]), (4, [4]), (math.inf, [4])]
)
def test_epochs_missing_from_the_journal_are_reported_and_the_last_epoch_always(
    tmp_path, reported, expected
):
    newest = trained(tmp_path, 4).newest_first()[0]
    found = History(CONFIG).restore(newest, reported)
    assert [result["epoch"] for result in found] == expected
    assert [result["score"] for result in found] == [epoch / 10 for epoch in expected]


def test_a_resumed_history_keeps_the_results_of_all_sessions(tmp_path):
    past = History(CONFIG)
    past.restore(trained(tmp_path, 3).newest_first()[0], math.inf)
    past.add({"epoch": 4, "score": 0.4})
    assert [result["epoch"] for result in past.to_keep()["past"]] == [1, 2, 3, 4]


def test_a_checkpoint_of_another_configuration_does_not_belong_to_the_trial(tmp_path):
    newest = trained(tmp_path, 1).newest_first()[0]
    assert History(CONFIG).is_of(newest)
    assert not History({**CONFIG, "learning_rate": 0.2}).is_of(newest)


def test_a_checkpoint_without_a_configuration_belongs_to_the_trial(tmp_path):
    checkpoints = TrialCheckpoints(LocalStore(tmp_path), "max")
    checkpoints.write(2, 0.5, {"epoch": 2}, lambda folder: Path(folder, "state").touch())
    newest = checkpoints.newest_first()[0]
    assert History(CONFIG).is_of(newest)
    assert History(CONFIG).restore(newest, 0) == [{"epoch": 2}]
