"""The learning rate of a step: warm-up, body and ending, a pure function of step and total steps.

    factor
      1 |    ______
        |   /      \\__ body (schedule)
        |  /          \\__
        | /              \\___ ending, linear to final_lr_fraction
        +-------------------------> step
         epochs_warmup        epochs_ending

Warm-up and ending are counted in steps, so half an epoch is possible. Where epochs differ in their
steps, since the batch size changes, a step here is a share of the mean epoch: see `step_at`.
"""

import math
from typing import NamedTuple

from trainables.training.config import TrainingConfig


class Phases(NamedTuple):
    """Steps of the three parts of a run; together they are all of it."""

    warmup: int
    body: int
    ending: int


def step_at(config: TrainingConfig, epoch: int, index: int, steps: int, total_steps: int) -> float:
    """Where update `index` (from 0) of `epoch` (from 1), which has `steps` of them, lies in a run
    whose epochs are all as long: epochs are what a person counts in, and a rung."""
    mean = total_steps / config.epochs
    return (epoch - 1) * mean + index * (mean / steps)


def phases(config: TrainingConfig, total_steps: int) -> Phases:
    """How the steps of a run are shared out; warm-up and ending are rounded to whole steps."""
    per_epoch = total_steps / config.epochs
    warmup = round(config.epochs_warmup * per_epoch)
    ending = min(round(config.epochs_ending * per_epoch), total_steps - warmup)
    return Phases(warmup, total_steps - warmup - ending, ending)


def lr_factor(config: TrainingConfig, step: float, total_steps: int, plateau: float = 1.0) -> float:
    """What the base learning rate is multiplied by in `step`.

    Args:
        step: from 0, of `step_at`.
        total_steps: of the run.
        plateau: what the schedule "plateau" has come to, by the validation loss of the epochs
            before: the one thing that step and total steps do not say.

    Returns:
        In the warm-up of w steps (step + 1) / (w + 1) (Goyal et al. 2017, section 2.2); then
        `body_factor`, as if there were no ending; then linear from where that has come to, down to
        `final_lr_fraction`, where it would be after the last step: a step at 0 would be none. What
        is lower already stays where it is.
    """
    parts = phases(config, total_steps)
    if step < parts.warmup:
        return (step + 1) / (parts.warmup + 1)
    into_body = step - parts.warmup
    # A cosine that had fallen before the ending would leave it nothing.
    there = min(into_body, parts.body)
    per_epoch = total_steps / config.epochs
    top = body_factor(config, there, parts.body + parts.ending, per_epoch) * plateau
    if into_body < parts.body:
        return top
    share = (into_body - parts.body) / parts.ending
    return top + (min(config.final_lr_fraction, top) - top) * share


def body_factor(config: TrainingConfig, step: float, steps: int, steps_per_epoch: float) -> float:
    """The schedule between warm-up and ending.

    - constant, plateau: 1.
    - step: `gamma` to the power of the number of whole `step_size` epochs that have passed.
    - exponential: γ^t, t in epochs, fractions included.
    - linear: from 1 to `final_lr_fraction`.
    - cosine: half a wave from 1 to `final_lr_fraction`, so often as `cycles` says, each time from
      the top (Loshchilov and Hutter 2017, *SGDR*, equation 5, with cycles of equal length).

    Args:
        step: from 0, after the warm-up.
        steps: after the warm-up, those of the ending among them.
        steps_per_epoch: mean.
    """
    epochs, share, floor = step / steps_per_epoch, step / steps, config.final_lr_fraction
    match config.schedule:
        case "step":
            # A whole number of epochs may miss itself by a rounding.
            return math.pow(config.gamma, math.floor(epochs / config.step_size + 1e-9))
        case "exponential":
            return math.pow(config.gamma, epochs)
        case "linear":
            return 1 + (floor - 1) * share
        case "cosine":
            # Not of the share, which may miss the top of a cycle by a rounding.
            along = step * config.cycles % steps / steps
            return floor + (1 - floor) * (1 + math.cos(math.pi * along)) / 2
    return 1.0
