"""Spaces whose trials make a number of passes over the data that is coupled with the batch size.

Such a trial reports the share of its run, in epochs of `base_batch_size`: one pass of a batch four
times as large is a quarter of an epoch. So a rung compares equal shares, which are equal numbers of
updates under "equal_updates", and every trial ends at the same epoch.
"""

from search_spaces.catalogue import BASE_BATCH_SIZE, BATCH_SIZE
from search_spaces.hyperparameter import Hyperparameter
from search_spaces.space import Space


def scales_epochs(space: Space) -> bool:
    """Return whether a trial of the space may have its epochs coupled with the batch size."""
    return any(value not in (None, "none") for value in space.values_of("epochs_scaling"))


def check_rungs(space: Space) -> None:
    """Check that a trial of the space reports at every epoch at which a rung may compare it.

    Raises:
        ValueError: a batch is smaller than its base: its trial reports every few epochs, and would
            be compared, after more updates, with those that report at the rung.
    """
    if not scales_epochs(space):
        return
    sizes, bases = _numbers(space, BATCH_SIZE), _numbers(space, BASE_BATCH_SIZE)
    if min(sizes) < max(bases):
        raise ValueError(
            f"epochs_scaling: rungs need a base_batch_size of at most the smallest batch size, or "
            f"a small batch is compared after more updates than a large one: the space has "
            f"base_batch_size {max(bases):g} and batch_size {min(sizes):g}; give "
            f"base_batch_size={min(sizes):g}"
        )


def check_population(space: Space) -> None:
    """Check that all members of a population pass over the data equally often.

    Raises:
        ValueError: a member that takes over another one's state would be at another share of its
            run.
    """
    if scales_epochs(space):
        raise ValueError(
            "epochs_scaling: the members of a population exchange their states, which needs equal "
            "numbers of passes; give epochs_scaling=none"
        )


def _numbers(space: Space, parameter: Hyperparameter) -> list[float]:
    """Return the values that a hyperparameter may have, its default where the space has none."""
    values = space.values_of(parameter.name) or (parameter.default,)
    return [float(value) for value in values if isinstance(value, (int, float))]
