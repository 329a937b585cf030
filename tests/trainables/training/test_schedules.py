"""The learning rate at every step, against tables worked out by hand."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainables.training.config import TrainingConfig
from trainables.training.schedules import check_milestones, lr_factor, phases, step_at

# Two steps an epoch, eight in all.
EPOCHS, TOTAL = 4, 8
ROOT = 0.5**0.5

TABLES = {
    "constant": ({}, [1, 1, 1, 1, 1, 1, 1, 1]),
    # Down after epochs 1, 2 and 3.
    "step": ({"step_size": 1, "gamma": 0.5}, [1, 1, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125]),
    "step of two": ({"step_size": 2, "gamma": 0.1}, [1, 1, 1, 1, 0.1, 0.1, 0.1, 0.1]),
    # γ^t, t in epochs: a step is half of one.
    "exponential": ({"gamma": 0.25}, [1, 0.5, 0.25, 0.125, 1 / 16, 1 / 32, 1 / 64, 1 / 128]),
    "linear": ({}, [1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8]),
    "linear to 0.2": ({"final_lr_fraction": 0.2}, [1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3]),
    # (1 + cos(π k / 8)) / 2 at k = 0, 4 and, by the half angle, between.
    "cosine": (
        {},
        [1, 0.961940, (1 + ROOT) / 2, 0.691342, 0.5, 0.308658, (1 - ROOT) / 2, 0.038060],
    ),
    # Two falls of four steps each: (1 + cos(π k / 4)) / 2.
    "cosine twice": ({"cycles": 2}, [1, (1 + ROOT) / 2, 0.5, (1 - ROOT) / 2] * 2),
    "plateau": ({}, [1, 1, 1, 1, 1, 1, 1, 1]),
}


@pytest.mark.parametrize("case", TABLES)
def test_each_schedule_is_its_table(case):
    fields, table = TABLES[case]
    config = TrainingConfig(epochs=EPOCHS, schedule=case.split()[0], **fields)
    assert [lr_factor(config, step, TOTAL) for step in range(TOTAL)] == pytest.approx(
        table, abs=1e-6
    )


COMPOSED = {
    # Warm-up of two steps: 1/3, 2/3; body of four; ending of two, from the body's end towards 0.
    "constant": ({}, [1 / 3, 2 / 3, 1, 1, 1, 1, 1, 0.5]),
    # Linear over the six steps after the warm-up, from 1 to 0.2: the ending has the same slope.
    "linear": (
        {"final_lr_fraction": 0.2},
        [1 / 3, 2 / 3, 1, 13 / 15, 11 / 15, 9 / 15, 7 / 15, 5 / 15],
    ),
    # 0.1 + 0.9 (1 + cos(π k / 6)) / 2 for k = 0 to 4, then half of the way from there to 0.1.
    "cosine": (
        {"final_lr_fraction": 0.1},
        [1 / 3, 2 / 3, 1, 0.1 + 0.45 * (1 + 3**0.5 / 2), 0.775, 0.55, 0.325, 0.2125],
    ),
    # Below the fraction already: the ending does not rise to it.
    "exponential to 0.2": (
        {"gamma": 0.25, "final_lr_fraction": 0.2},
        [1 / 3, 2 / 3, 1, 0.5, 0.25, 0.125, 1 / 16, 1 / 16],
    ),
    # γ = 0.25 an epoch of two steps; after four steps 1/16, then half of the way to 0.
    "exponential": ({"gamma": 0.25}, [1 / 3, 2 / 3, 1, 0.5, 0.25, 0.125, 1 / 16, 1 / 32]),
    # One step down after an epoch of the body, a second at its end.
    "step": (
        {"step_size": 1, "gamma": 0.5},
        [1 / 3, 2 / 3, 1, 1, 0.5, 0.5, 0.25, 0.125],
    ),
}


@pytest.mark.parametrize("case", COMPOSED)
def test_warm_up_body_and_ending_are_their_table(case):
    fields, table = COMPOSED[case]
    fields = {"schedule": case.split()[0], **fields}
    config = TrainingConfig(epochs=EPOCHS, epochs_warmup=1, epochs_ending=1, **fields)
    assert [lr_factor(config, step, TOTAL) for step in range(TOTAL)] == pytest.approx(table)


def test_half_an_epoch_of_warm_up_is_half_of_its_steps():
    config = TrainingConfig(epochs=4, epochs_warmup=0.5, epochs_ending=0.3)
    parts = phases(config, 40)
    assert (parts.warmup, parts.body, parts.ending) == (5, 32, 3)
    assert [lr_factor(config, step, 40) for step in range(6)] == pytest.approx(
        [1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1]
    )


def test_where_batches_grow_or_shrink_it_is_still_counted_in_epochs():
    ends = {"epochs_warmup": 1, "epochs_ending": 1}
    config = TrainingConfig(epochs=4, schedule="step", step_size=1, gamma=0.5, **ends)
    # Of 8, 4, 2 and 2 updates; the mean epoch has 4.
    steps = (8, 4, 2, 2)
    rates = [
        lr_factor(config, step_at(config, epoch, index, steps[epoch - 1], 16), 16)
        for epoch in range(1, 5)
        for index in range(steps[epoch - 1])
    ]
    warmup = [(step / 2 + 1) / 5 for step in range(8)]
    assert rates == pytest.approx([*warmup, *[1] * 4, *[0.5] * 2, 0.25, 0.125])


def test_a_cycle_begins_at_its_top_however_many_there_are():
    config = TrainingConfig(epochs=1, schedule="cosine", cycles=22)
    factors = [lr_factor(config, step, 22 * 6) for step in range(22 * 6)]
    assert factors[::6] == [1.0] * 22


def test_a_run_of_warm_up_and_ending_alone_rises_and_falls():
    config = TrainingConfig(epochs=4, epochs_warmup=2, epochs_ending=2)
    table = [1 / 5, 2 / 5, 3 / 5, 4 / 5, 1, 3 / 4, 2 / 4, 1 / 4]
    assert [lr_factor(config, step, TOTAL) for step in range(TOTAL)] == pytest.approx(table)


def test_what_plateau_has_come_to_holds_in_the_body_and_at_the_top_of_the_ending():
    config = TrainingConfig(epochs=4, schedule="plateau", epochs_warmup=1, epochs_ending=1)
    table = [1 / 3, 2 / 3, 0.5, 0.5, 0.5, 0.5, 0.5, 0.25]
    assert [lr_factor(config, step, TOTAL, 0.5) for step in range(TOTAL)] == pytest.approx(table)


def factors_of(config, total):
    return [lr_factor(config, step, total) for step in range(total)]


def theirs(scheduler, total, **arguments):
    """The learning rates of one of PyTorch's schedulers, one step an update, from 1."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    course = getattr(torch.optim.lr_scheduler, scheduler)(optimizer, **arguments)
    rates = []
    for _ in range(total):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        course.step()
    return rates


RUNS = {"epochs": st.integers(1, 20), "per_epoch": st.integers(1, 12)}
FLOORS = st.floats(0, 1)


@given(**RUNS, milestones=st.sets(st.integers(1, 19)), gamma=st.floats(0.1, 1))
def test_milestones_in_epochs_are_pytorchs(epochs, per_epoch, milestones, gamma):
    within = sorted(m for m in milestones if m < epochs) or [epochs / 2, epochs * 3 / 4]
    given_ones = tuple(m for m in within if isinstance(m, int))
    config = TrainingConfig(
        epochs=epochs, schedule="milestones", milestones=given_ones, gamma=gamma
    )
    total = epochs * per_epoch
    # Its milestones are whole updates; a step between two of them holds from the later one on.
    updates = [math.ceil(m * per_epoch - 1e-9) for m in within]
    expected = theirs("MultiStepLR", total, milestones=updates, gamma=gamma)
    assert factors_of(config, total) == pytest.approx(expected)


@given(**RUNS, milestones=st.sets(st.integers(1, 239), min_size=1), gamma=st.floats(0.1, 1))
def test_milestones_in_updates_are_pytorchs(epochs, per_epoch, milestones, gamma):
    config = TrainingConfig(
        epochs=epochs,
        schedule="milestones",
        milestones=tuple(sorted(milestones)),
        milestone_unit="updates",
        gamma=gamma,
    )
    total = epochs * per_epoch
    expected = theirs("MultiStepLR", total, milestones=sorted(milestones), gamma=gamma)
    assert factors_of(config, total) == pytest.approx(expected)


def test_milestones_are_counted_from_the_start_of_the_run_whatever_the_warm_up():
    config = TrainingConfig(
        epochs=4, schedule="milestones", milestones=(2, 3), gamma=0.1, epochs_warmup=1
    )
    table = [1 / 3, 2 / 3, 1, 1, 0.1, 0.1, 0.01, 0.01]
    assert factors_of(config, TOTAL) == pytest.approx(table)


@given(**RUNS, first=st.integers(1, 20), growth=st.integers(1, 3), floor=FLOORS)
def test_restarts_are_pytorchs(epochs, per_epoch, first, growth, floor):
    first = min(first, epochs)
    config = TrainingConfig(
        epochs=epochs,
        schedule="restarts",
        fall_epochs=first,
        cycle_growth=growth,
        final_lr_fraction=floor,
    )
    total = epochs * per_epoch
    expected = theirs(
        "CosineAnnealingWarmRestarts",
        total,
        T_0=first * per_epoch,
        T_mult=growth,
        eta_min=floor,
    )
    assert factors_of(config, total) == pytest.approx(expected, abs=1e-9)


@given(**RUNS, fall=st.integers(1, 20), floor=FLOORS)
def test_periodic_is_pytorchs(epochs, per_epoch, fall, floor):
    fall = min(fall, epochs)
    config = TrainingConfig(
        epochs=epochs, schedule="periodic", fall_epochs=fall, final_lr_fraction=floor
    )
    total = epochs * per_epoch
    expected = theirs("CosineAnnealingLR", total, T_max=fall * per_epoch, eta_min=floor)
    # It multiplies factor by factor, and loses digits near 0.
    assert factors_of(config, total) == pytest.approx(expected, abs=1e-6)


def test_periodic_rises_as_it_fell():
    config = TrainingConfig(epochs=8, schedule="periodic", fall_epochs=2, final_lr_fraction=0.2)
    assert factors_of(config, 8) == pytest.approx([1, 0.6, 0.2, 0.6] * 2)


@given(**RUNS, share=st.floats(0.01, 1), floor=FLOORS)
def test_a_line_over_some_epochs_is_pytorchs(epochs, per_epoch, share, floor):
    updates = max(1, round(share * epochs * per_epoch))
    config = TrainingConfig(
        epochs=epochs,
        schedule="linear",
        linear_epochs=updates / per_epoch,
        final_lr_fraction=floor,
    )
    total = epochs * per_epoch
    expected = theirs("LinearLR", total, start_factor=1.0, end_factor=floor, total_iters=updates)
    assert factors_of(config, total) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("growth", [1, 2, 3])
def test_a_restart_begins_at_its_top_however_uneven_an_epoch_is(growth):
    config = TrainingConfig(epochs=28, schedule="restarts", fall_epochs=0.7, cycle_growth=growth)
    factors = factors_of(config, 40)
    first, begins = 1, []
    while sum(begins[-1:]) + first <= 40:
        begins.append(sum(begins[-1:]) + first)
        first *= growth
    assert [factors[at] for at in begins if at < 40] == [1.0] * sum(at < 40 for at in begins)


@given(
    schedule=st.sampled_from(["constant", "step", "exponential", "cosine", "linear", "plateau"]),
    epochs=st.integers(1, 30),
    per_epoch=st.integers(1, 40),
    warmup=st.floats(0, 0.5),
    ending=st.floats(0, 0.5),
    floor=st.floats(0, 1),
    cycles=st.integers(1, 5),
)
def test_every_factor_is_above_0_but_where_it_falls_to_it_and_at_most_1(
    schedule, epochs, per_epoch, warmup, ending, floor, cycles
):
    config = TrainingConfig(
        schedule=schedule,
        epochs=epochs,
        epochs_warmup=warmup * epochs,
        epochs_ending=ending * epochs,
        final_lr_fraction=floor,
        cycles=cycles,
    )
    total = epochs * per_epoch
    factors = [lr_factor(config, step, total) for step in range(total)]
    assert all(0 <= factor <= 1 + 1e-12 for factor in factors)
    # A first step at 0 would be none.
    assert factors[0] > 0
    # Nothing but the warm-up rises, and a new cycle.
    falling = factors[phases(config, total).warmup :]
    rises = sum(later > earlier + 1e-12 for earlier, later in pairwise(falling))
    assert rises <= (cycles - 1 if schedule == "cosine" else 0)


def test_milestones_beyond_the_last_update_are_refused():
    config = TrainingConfig(schedule="milestones", milestones=(5, 8), milestone_unit="updates")
    check_milestones(config, 9)
    with pytest.raises(ValueError, match="below the 8 updates of the run: got 8"):
        check_milestones(config, 8)
