"""The check of the best epoch where the learning rate falls, which makes each end flat."""

import math

import pytest

from tests.reports.made_up import spread, study
from tune_cluster.reports.doctor.checks import examined


def falling(epoch, epochs=12):
    """Return the learning rate of an epoch, as a cosine leaves it."""
    return 0.005 * (1 + math.cos(math.pi * (epoch - 0.5) / epochs))


def cut(epoch):
    """Return a score that rises until the learning rate falls, and is flat from then on."""
    return 0.5 + 0.03 * min(epoch, 7)


def learnt(epoch):
    """Return a training loss that is flat before the learning rate falls."""
    return 1.2 / min(epoch, 4) + 0.4


def above(epoch):
    """Return a training loss that does not go below that of validation."""
    return 1.2 / epoch + 0.4


UNDER_TRAINED = {"learning_rate": falling, "train_loss": above, "score": cut}


def best_epoch(tmp_path, **changed):
    """Return the finding on the best epoch of a study whose trials have these curves."""
    (found,) = (
        one for one in examined(study(tmp_path, spread(**changed))) if one.check == "best epoch"
    )
    return found


def test_a_falling_rate_hides_no_end_that_came_too_early(tmp_path):
    found = best_epoch(tmp_path, **UNDER_TRAINED)
    assert found.verdict == "warn"
    assert [advice.flags for advice in found.advice] == [(("--max-epochs", "24"),)]


def test_few_epochs_of_a_falling_rate_are_judged_by_the_losses_alone(tmp_path):
    changed = {
        "learning_rate": lambda epoch: falling(epoch, 4),
        "score": lambda epoch: 0.5 + 0.1 * min(epoch, 2),
        "epochs": 4,
    }
    assert best_epoch(tmp_path / "under", train_loss=above, **changed).verdict == "warn"
    assert best_epoch(tmp_path / "learnt", **changed).verdict == "pass"


def test_a_training_loss_that_is_below_by_next_to_nothing_is_no_gap(tmp_path):
    changed = UNDER_TRAINED | {"val_loss": lambda epoch: above(epoch) + 0.01}
    assert best_epoch(tmp_path, **changed).verdict == "warn"


LONG_ENOUGH = {
    "a training loss below that of validation": {"train_loss": lambda epoch: 1 / epoch},
    "a training loss that was flat while the rate was high": {"train_loss": learnt},
    "a rate that does not fall": {"learning_rate": lambda _: 0.01},
    "a rate that falls by half": {"learning_rate": lambda epoch: 0.01 - 0.005 * epoch / 12},
    "no training loss": {"train_loss": lambda _: None},
    "an objective above the training loss": {"val_objective": lambda _: 2.0},
}


@pytest.mark.parametrize("changed", LONG_ENOUGH.values(), ids=LONG_ENOUGH)
def test_a_flat_end_is_one_with(tmp_path, changed):
    assert best_epoch(tmp_path, **(UNDER_TRAINED | changed)).verdict == "pass"


@pytest.mark.parametrize(
    ("loss", "verdict"),
    [(lambda epoch: 0.7 - 0.01 * epoch, "warn"), (lambda epoch: 0.3 + 0.4 / epoch, "pass")],
    ids=["falls as fast as before", "has bent"],
)
def test_a_loss_that_has_not_bent_ends_too_early_whatever_the_accuracy(tmp_path, loss, verdict):
    assert best_epoch(tmp_path, val_loss=loss).verdict == verdict
