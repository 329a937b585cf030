"""What a trainable reports, as numbers that JSON and the driver can hold."""

import json
import math
import threading
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from ray.tune.result import AUTO_RESULT_KEYS, SHOULD_CHECKPOINT

from tune_cluster.trial.metrics import NOT_METRICS, as_number, metrics_of, numbers_of

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
def test_a_number_of_any_library_is_one(value, number):
    found = as_number(value)
    assert found == number
    assert type(found) is type(number)


@pytest.mark.parametrize("value", NONE)
def test_what_is_no_number_is_none(value):
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
def test_whatever_is_reported_can_be_written_and_nothing_is_dropped_silently(report):
    found = numbers_of(report)
    json.dumps([metrics_of(found.numbers), found.left_out, found.step_losses], allow_nan=False)
    flat = [name for name, value in report.items() if not isinstance(value, dict)]
    assert {str(name) for name in flat} <= {*found.numbers, *found.left_out, "done"}


def test_steps_and_losses_are_pairs_of_finite_numbers():
    losses = [(np.int64(1), torch.tensor(0.5)), (2, math.nan)]
    assert numbers_of({"step_losses": losses}).step_losses == [[1, 0.5]]
    assert set(numbers_of({"step_losses": [0.9, 0.8]}).left_out) == {"step_losses"}


def test_what_tune_writes_into_a_result_is_no_metric():
    # `NOT_METRICS` knows no Ray: whoever raises its version compares them here.
    assert {*AUTO_RESULT_KEYS, SHOULD_CHECKPOINT, "done"} <= NOT_METRICS
