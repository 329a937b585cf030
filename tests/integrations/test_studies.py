"""Scripts of other libraries in a study that is killed: promoted, resumed, its best loadable."""

import shutil

import pytest
import torch

from tests.conftest import ROOT, journal_of
from tests.integrations.scripts import (
    LIGHTGBM,
    LIGHTNING,
    TRANSFORMERS,
    WITH_CALLBACK,
    XGBOOST,
    Trial,
    needed,
    run_alone,
)
from tests.test_resume import kill_when

pytestmark = pytest.mark.long

JOB = ROOT / "tune_jobs" / "search_script.py"
TRIALS, EPOCHS = 4, 4
RUNGS = ("--grace-period", "1", "--reduction-factor", "2")


@pytest.fixture(autouse=True)
def one_thread():
    """Sum in the order of a trial, which has one core, in this process too."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("script", WITH_CALLBACK, ids=str)
def test_a_killed_study_promotes_and_resumes_each_trial_where_it_was(
    start_job, run_job, tmp_path, monkeypatch, script
):
    needed(script)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    study = tmp_path / "results" / "cut"
    words = ("--script", str(script.path), "--search", *script.search, "--metric", script.metric)
    limits = ("--trials", str(TRIALS), "--max-epochs", str(EPOCHS), "--max-concurrent", "1")
    arguments = f"--arguments={script.count} {EPOCHS}"
    process = start_job(*words, *limits, *RUNGS, arguments, "--name", "cut", script=JOB)
    kill_when(process, study, 12)
    process.communicate()
    code, output = run_job("--resume", "results/cut", script=JOB)
    assert code == 0, output

    events = journal_of(study)
    of = {kind: [event for event in events if event["event"] == kind] for kind in kinds(events)}
    assert of["promoted"], "by the rule that needs checkpoints"
    assert {event["trial"] for event in of["ended"]} == set(range(TRIALS))
    assert "epochs_lost" not in of or len(of["epochs_lost"]) <= 2, "of the trials that ran"
    assert not any(event.get("ignored_checkpoint") for event in events)
    curves = {}
    for event in of["result"]:
        curves.setdefault(event["trial"], {})[event["epoch"]] = event["metrics"][script.metric]
    assert max(map(len, curves.values())) == EPOCHS
    for curve in curves.values():
        assert list(curve) == list(range(1, len(curve) + 1))
    assert all(list(study.glob(f"trials/{trial:04d}/events.out.tfevents.*")) for trial in curves)

    # Each has, in spite of kill and promotion, the results of an uninterrupted script.
    for suggested in of["suggested"]:
        curve = curves[suggested["trial"]]
        whole = Trial(script, suggested["config"], tmp_path)
        whole.run(EPOCHS, stop_after=len(curve))
        assert whole.values_of(script.metric) == curve
        shutil.rmtree(whole.checkpoint)
    best = min(value for curve in curves.values() for value in curve.values())
    assert LOADED[script.library](study / "best", tmp_path) == pytest.approx(best, rel=1e-4)


def kinds(events):
    return {event["event"] for event in events}


def lightning_loss(best, folder):
    import lightning as L

    named = run_alone(LIGHTNING, "--epochs", "0", folder=folder)
    model = named["Digits"].load_from_checkpoint(best / "checkpoint.ckpt", weights_only=True)
    trainer = L.Trainer(logger=False, enable_checkpointing=False)
    return trainer.validate(model, named["loaders"][1])[0]["val_loss"]


def transformers_loss(best, folder):
    from transformers import BertForSequenceClassification

    named = run_alone(TRANSFORMERS, "--epochs", "1", folder=folder)
    model = BertForSequenceClassification.from_pretrained(best)
    return named["Trainer"](model, named["settings"], **named["data"]).evaluate()["eval_loss"]


def xgboost_loss(best, folder):
    import xgboost
    from sklearn.metrics import log_loss

    named = run_alone(XGBOOST, "--rounds", "1", folder=folder)
    model = xgboost.Booster(model_file=best / "model.ubj")
    return log_loss(named["split"][3], model.predict(named["val"]))


def lightgbm_loss(best, folder):
    import lightgbm
    from sklearn.metrics import log_loss

    named = run_alone(LIGHTGBM, "--rounds", "1", folder=folder)
    model = lightgbm.Booster(model_file=best / "model.txt")
    return log_loss(named["split"][3], model.predict(named["split"][1]))


LOADED = {
    "lightning": lightning_loss,
    "transformers": transformers_loss,
    "xgboost": xgboost_loss,
    "lightgbm": lightgbm_loss,
}
"""Loss of the best checkpoint, loaded as its user would, by library."""
