"""Learning rate of a step: warm-up, body and ending, a pure function of step and total steps.

    factor
      1 |    ______
        |   /      \\__ body (schedule)
        |  /          \\__
        | /              \\___ ending, linear to final_lr_fraction
        +-------------------------> step
         epochs_warmup        epochs_ending

Warm-up and ending are counted in steps, so half an epoch is possible. If epochs have different
numbers of steps, because the batch size changes, a step is scaled to the mean epoch: see `step_at`.
If the number of passes is coupled with the batch size, an epoch of the config is a share of the
run, so that the course stretches with it.
"""

import math
from typing import NamedTuple

from trainables.training.config import TrainingConfig


class Phases(NamedTuple):
    """Steps of the three parts of a run, which add up to all steps."""

    warmup: int
    body: int
    ending: int


def step_at(config: TrainingConfig, epoch: int, index: int, steps: int, total_steps: int) -> float:
    """Return the position of update `index` (from 0) of pass `epoch` (from 1), which has `steps`
    updates, in a run whose passes have equal lengths, since users and rungs count in epochs."""
    mean = total_steps / config.passes
    return (epoch - 1) * mean + index * (mean / steps)


def phases(config: TrainingConfig, total_steps: int) -> Phases:
    """Return the steps of each phase of a run; warm-up and ending are rounded to whole steps."""
    per_epoch = total_steps / config.epochs
    warmup = round(config.epochs_warmup * per_epoch)
    ending = min(round(config.epochs_ending * per_epoch), total_steps - warmup)
    return Phases(warmup, total_steps - warmup - ending, ending)


def check_milestones(config: TrainingConfig, total_steps: int) -> None:
    """Check that milestones in updates are among those of a run; raise a ValueError if not."""
    if config.schedule == "milestones" and config.milestone_unit == "updates":
        last = (0, *config.milestones)[-1]
        if last >= total_steps:
            raise ValueError(
                f"milestones must be below the {total_steps} updates of the run: got {last:g}; "
                f"give lower ones, or give them in epochs"
            )


def lr_factor(config: TrainingConfig, step: float, total_steps: int, plateau: float = 1.0) -> float:
    """Return the factor of the base learning rate in `step`.

    Args:
        config: hyperparameters.
        step: position of the step, from 0, as returned by `step_at`.
        total_steps: number of steps of the run.
        plateau: current factor of the schedule "plateau", from the validation loss of earlier
            epochs: the only input that does not follow from the step.

    Returns:
        In the warm-up of w steps (step + 1) / (w + 1) (Goyal et al. 2017, section 2.2); then
        `body_factor`, as if there were no ending; then linear from its last value down to
        `final_lr_fraction`, which would be reached one step after the last: a step at 0 would have
        no effect. A value that is already lower does not change.
    """
    parts = phases(config, total_steps)
    if step < parts.warmup:
        return (step + 1) / (parts.warmup + 1)
    into_body = step - parts.warmup
    # A cosine that had fallen before the ending would leave nothing to it.
    there = min(into_body, parts.body)
    per_epoch = total_steps / config.epochs
    if config.schedule == "milestones":
        top = _after_milestones(config, parts.warmup + there, per_epoch)
    else:
        top = body_factor(config, there, parts.body + parts.ending, per_epoch) * plateau
    if into_body < parts.body:
        return top
    share = (into_body - parts.body) / parts.ending
    return top + (min(config.final_lr_fraction, top) - top) * share


def body_factor(config: TrainingConfig, step: float, steps: int, steps_per_epoch: float) -> float:
    """Return the factor of a schedule that begins after the warm-up.

    - constant, plateau: 1.
    - step: `gamma` to the power of the number of whole `step_size` epochs that have passed.
    - exponential: γ^t, t in epochs, fractions included.
    - linear: from 1 to `final_lr_fraction`, after `linear_epochs` or at the end.
    - cosine: half a wave from 1 to `final_lr_fraction`, `cycles` times, each time from the top
      (Loshchilov and Hutter 2017, *SGDR*, equation 5, with cycles of equal length).
    - restarts: the same with T_0 `fall_epochs` and T_mult `cycle_growth`, wherever the run ends.
    - periodic: half a wave down in `fall_epochs`, half a wave up, and so on.

    Args:
        config: hyperparameters.
        step: step after the warm-up, from 0.
        steps: number of steps after the warm-up, including the ending.
        steps_per_epoch: mean number of steps in an epoch.
    """
    epochs, share, floor = step / steps_per_epoch, step / steps, config.final_lr_fraction
    fall = config.fall_epochs or config.epochs / 3
    match config.schedule:
        case "step":
            return math.pow(config.gamma, math.floor(epochs / config.step_size + ROUNDING))
        case "exponential":
            return math.pow(config.gamma, epochs)
        case "linear":
            if config.linear_epochs:
                share = min(epochs / config.linear_epochs, 1.0)
            return 1 + (floor - 1) * share
        case "cosine":
            # Computed from whole steps, since rounding of a share may miss the top of a cycle.
            return _wave(step * config.cycles % steps / steps, floor)
        case "restarts":
            return _wave(_along_cycle(epochs / fall, config.cycle_growth), floor)
        case "periodic":
            return _wave(epochs / fall, floor)
    return 1.0


ROUNDING = 1e-9
"""Epochs or cycles by which rounding may put a whole number of them below itself."""


def _wave(along: float, floor: float) -> float:
    """Return the cosine that falls from 1, at 0, to `floor`, at 1, and is back at 2."""
    return floor + (1 - floor) * (1 + math.cos(math.pi * along)) / 2


def _along_cycle(falls: float, growth: int) -> float:
    """Return the share of its cycle that has passed after so many lengths of the first cycle."""
    length = 1.0
    if growth == 1:
        falls = falls % 1.0 if 1 - falls % 1.0 > ROUNDING else 0.0
    while falls >= length - ROUNDING:
        falls, length = max(0.0, falls - length), length * growth
    return falls / length


def _after_milestones(config: TrainingConfig, step: float, steps_per_epoch: float) -> float:
    """Return `gamma` to the power of the number of milestones that `step` of the run has passed."""
    at = step if config.milestone_unit == "updates" else step / steps_per_epoch
    passed: tuple[float, ...] = config.milestones
    if not passed:
        # After a half and three quarters of the run (He et al. 2016, section 4.2).
        at, passed = step / steps_per_epoch, (config.epochs / 2, config.epochs * 3 / 4)
    return math.pow(config.gamma, sum(at >= milestone - ROUNDING for milestone in passed))
