"""Early stopping and the schedule "plateau": their memory of a validation score."""

from dataclasses import asdict

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainables.training.config import TrainingConfig
from trainables.training.early_stopping import Patience


def waited(config, losses):
    """After which loss, from 1, patience is over; None if it never is."""
    patience = Patience()
    for count, loss in enumerate(losses, start=1):
        patience.note(loss, config)
        if patience.over(config):
            return count
    return None


@pytest.mark.parametrize(
    ("patience", "losses", "over"),
    [
        (2, [1.0, 0.9, 0.95, 0.91], 4),
        (2, [1.0, 0.9, 0.95, 0.89, 0.9, 0.9], 6),
        (1, [1.0, 1.0], 2),
        (0, [1.0] * 50, None),
        (3, [0.5, 0.4, 0.3, 0.2], None),
    ],
)
def test_it_is_over_after_so_many_epochs_without_a_lower_loss(patience, losses, over):
    assert waited(TrainingConfig(patience=patience), losses) == over


def test_a_fall_that_is_too_small_does_not_count():
    losses = [1.0, 0.99, 0.98, 0.97]
    assert waited(TrainingConfig(patience=2, min_delta=0.05), losses) == 3
    assert waited(TrainingConfig(patience=2, min_delta=0.001), losses) is None


# The first scheduler of a process imports for half a second.
@given(
    losses=st.lists(st.floats(0.1, 10), max_size=40),
    patience=st.integers(1, 5),
    factor=st.floats(0.05, 0.9),
)
def test_plateau_is_pytorchs(losses, patience, factor):
    config = TrainingConfig(
        schedule="plateau", scheduler_patience=patience, scheduler_factor=factor, patience=0
    )
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, factor=factor, patience=patience, threshold=0.0, eps=0.0
    )
    ours = Patience()
    for loss in losses:
        ours.note(loss, config)
        theirs.step(loss)
        assert ours.factor == pytest.approx(optimizer.param_groups[0]["lr"])


@given(
    scores=st.lists(st.floats(0, 1), max_size=40),
    patience=st.integers(1, 5),
    margin=st.sampled_from([0.0, 0.01]),
)
def test_of_a_score_the_highest_counts(scores, patience, margin):
    fields = {"schedule": "plateau", "scheduler_patience": 2, "min_delta": margin}
    rising = TrainingConfig(patience=patience, patience_metric="f1", **fields)
    falling = TrainingConfig(patience=patience, **fields)
    assert waited(rising, scores) == waited(falling, [-score for score in scores])


def test_a_trial_that_rests_on_a_plateau_ends_after_a_step_had_two_epochs():
    both = TrainingConfig(schedule="plateau", patience=6, scheduler_patience=6)
    assert waited(both, [1.0] * 20) == 9
    patience = Patience()
    for _ in range(8):
        patience.note(1.0, both)
    assert patience.factor == pytest.approx(both.scheduler_factor)
    # As ever where patience is longer, or the schedule another.
    assert waited(TrainingConfig(schedule="plateau", patience=6), [1.0] * 20) == 7
    assert waited(TrainingConfig(patience=6, scheduler_patience=6), [1.0] * 20) == 7


def test_under_another_schedule_the_factor_stays():
    patience = Patience()
    for _ in range(50):
        patience.note(1.0, TrainingConfig())
    assert patience.factor == 1.0


@given(st.lists(st.floats(0.1, 10), max_size=20), st.integers(0, 20))
def test_its_state_is_all_of_it(losses, cut):
    config = TrainingConfig(schedule="plateau", patience=5)
    whole, first = Patience(), Patience()
    for loss in losses[:cut]:
        first.note(loss, config)
    second = Patience(**asdict(first))
    for loss in losses[cut:]:
        second.note(loss, config)
    for loss in losses:
        whole.note(loss, config)
    assert second == whole
