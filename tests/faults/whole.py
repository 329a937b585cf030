"""The study that is disturbed, and its required result."""

from tests.conftest import results_of, table_of
from tests.test_resume import assert_whole

TRIALS = 4
ONE = ("--dataset", "digits", "--trials", str(TRIALS), "--max-epochs", "27", "--grace-period", "9")
ONE += ("--seed", "1", "--max-concurrent", "1", "--name", "study")
"""One trial at a time, long enough to be in the middle of one."""

MANY = 12
TWO = ("--dataset", "digits", "--trials", str(MANY), "--max-epochs", "27", "--grace-period", "9")
TWO += ("--seed", "1", "--max-concurrent", "2", "--name", "study")
"""Two at a time, one on each node."""


def assert_as_if_nothing_had_been(study, undisturbed):
    """Check for the same table and results, with one end per trial and one event per epoch."""
    assert table_of(study) == table_of(undisturbed)
    assert results_of(study) == results_of(undisturbed)
    assert_whole(study, TRIALS)
