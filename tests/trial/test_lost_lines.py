"""What a checkpoint knows and the journal has lost."""

import math
from pathlib import Path

import pytest

from tune_cluster.storage.checkpoints import TrialCheckpoints
from tune_cluster.storage.store import LocalStore
from tune_cluster.trial.lost_lines import Past

CONFIG = {"learning_rate": 0.1, "betas": (0.9, 0.99)}


def trained(directory, epochs, config=CONFIG):
    """The checkpoints of a trial that kept its past."""
    checkpoints, past = TrialCheckpoints(LocalStore(directory), "max"), Past(config)
    for epoch in range(1, epochs + 1):
        result = {"epoch": epoch, "score": epoch / 10, "step_losses": [[epoch, 0.5]]}
        save = lambda folder: Path(folder, "state").write_text("weights")  # noqa: E731
        checkpoints.write(epoch, result["score"], result, save, **past.to_keep())
        past.add(result)
    return checkpoints


@pytest.mark.parametrize(
    ("reported", "told"), [(0, [1, 2, 3, 4]), (2, [3, 4]), (4, [4]), (math.inf, [4])]
)
def test_what_the_journal_lacks_is_told_and_the_last_epoch_always(tmp_path, reported, told):
    newest = trained(tmp_path, 4).newest_first()[0]
    found = Past(CONFIG).take_up(newest, reported)
    assert [result["epoch"] for result in found] == told
    assert [result["score"] for result in found] == [epoch / 10 for epoch in told]


def test_what_goes_on_keeps_the_past_of_all_its_lives(tmp_path):
    past = Past(CONFIG)
    past.take_up(trained(tmp_path, 3).newest_first()[0], math.inf)
    past.add({"epoch": 4, "score": 0.4})
    assert [result["epoch"] for result in past.to_keep()["past"]] == [1, 2, 3, 4]


def test_another_configurations_checkpoint_is_not_its_own(tmp_path):
    newest = trained(tmp_path, 1).newest_first()[0]
    assert Past(CONFIG).is_of(newest)
    assert not Past({**CONFIG, "learning_rate": 0.2}).is_of(newest)


def test_a_checkpoint_that_says_no_configuration_is_gone_on_from(tmp_path):
    checkpoints = TrialCheckpoints(LocalStore(tmp_path), "max")
    checkpoints.write(2, 0.5, {"epoch": 2}, lambda folder: Path(folder, "state").touch())
    newest = checkpoints.newest_first()[0]
    assert Past(CONFIG).is_of(newest)
    assert Past(CONFIG).take_up(newest, 0) == [{"epoch": 2}]
