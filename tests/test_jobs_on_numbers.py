"""Every job of images on targets that are numbers."""

import importlib

import numpy as np
import pytest

from tests.conftest import ROOT, table_of
from tune_cluster.execution.command_line import parse
from tune_cluster.execution.launcher import built_by

JOBS = sorted(
    path.stem
    for path in (ROOT / "tune_jobs").glob("*.py")
    if "images: " in path.read_text()
    # They have the network of weights, and presets for classes.
    and path.stem not in ("sobol_fine_tuning", "train_preset")
)


@pytest.fixture
def ages(tmp_path):
    """Images of 1 x 8 x 8 whose brightness is the number to predict."""
    generator = np.random.default_rng(0)
    y = generator.uniform(20, 60, 400)
    x = (generator.integers(0, 100, (400, 8, 8)) + y[:, None, None]).astype(np.uint8)
    np.savez(tmp_path / "ages.npz", x=x, y=y)
    return tmp_path / "ages.npz"


@pytest.mark.parametrize("name", JOBS)
def test_a_job_on_numbers_trains_by_a_loss_of_numbers_and_compares_by_rmse(ages, name):
    job = importlib.import_module(f"tune_jobs.{name}").job
    one = ["--strategy", "gp_asha"] if name == "compare_strategies" else []
    tuner = built_by(job, parse(job, ["--dataset", str(ages), *one]))
    assert (tuner.tune_config.metric, tuner.tune_config.mode) == ("val_rmse", "min")
    space = tuner.tune_config.search_alg.space
    for config in space.samples():
        tuner.trainable.check_config(config, tuner.dataset.search)


def test_a_job_on_numbers_accepts_another_loss_and_metric(ages):
    job = importlib.import_module("tune_jobs.asha_lr_batch").job
    words = ["--dataset", str(ages), "--fix", "loss=huber", "--metric", "val_mae"]
    tuner = built_by(job, parse(job, words))
    assert tuner.tune_config.metric == "val_mae"
    assert dict(tuner.tune_config.search_alg.space.fixed)["loss"] == "huber"


@pytest.mark.long
def test_a_study_predicts_numbers_better_than_their_mean(run_job, ages, tmp_path):
    code, output = run_job(
        *("--dataset", str(ages), "--trials", "4", "--max-epochs", "9", "--name", "ages"),
        script=ROOT / "tune_jobs" / "asha_lr_batch.py",
    )
    assert code == 0, output
    assert len(table_of(tmp_path / "results" / "ages")) == 4
    assert "always the mean of the training targets" in output
    assert "no trial is better" not in output
    for score in ("test_rmse", "test_mae", "test_r2", "test_mape"):
        assert score in output
