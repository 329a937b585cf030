"""The callbacks for other libraries, in trials without a study: the real libraries train."""

import subprocess
import sys

import pytest

from tests.conftest import ROOT
from tests.integrations.scripts import (
    LIGHTGBM,
    LIGHTNING,
    SCRIPTS,
    SKLEARN,
    TRANSFORMERS,
    XGBOOST,
    Trial,
    needed,
    run_alone,
)

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("script", SCRIPTS, ids=str)
def test_a_stopped_and_resumed_training_equals_one_that_was_never_stopped(script, tmp_path):
    folders = [tmp_path / name for name in ("whole", "cut")]
    for folder in folders:
        folder.mkdir()
    whole, cut = (Trial(needed(script), script.default, folder) for folder in folders)
    whole.run(4)
    cut.run(4, stop_after=2)
    assert list(cut.values_of(script.metric)) == [1, 2]
    cut.run(4)
    assert list(cut.values_of(script.metric)) == [1, 2, 3, 4]
    assert [report["epoch"] for report in cut.reports] == [1, 2, 3, 4]
    assert cut.values_of(script.metric) == whole.values_of(script.metric)


@pytest.mark.parametrize("script", SCRIPTS, ids=str)
def test_the_script_runs_alone(script, tmp_path):
    run_alone(needed(script), script.count, "1", folder=tmp_path)


@pytest.mark.parametrize(
    ("script", "without", "said"),
    [
        (
            LIGHTNING,
            ", ckpt_path=callback.ckpt_path",
            r"fit\(model, ckpt_path=callback.ckpt_path\)",
        ),
        (TRANSFORMERS, "resume_from_checkpoint=callback.checkpoint", "resume_from_checkpoint"),
        (TRANSFORMERS, 'eval_strategy="epoch",', "does not evaluate"),
        (XGBOOST, "xgb_model=callback.model,", "xgb_model=callback.model"),
        (LIGHTGBM, "init_model=callback.model,", "init_model=callback.model"),
    ],
    ids=str,
)
def test_a_line_that_is_missing_is_named(script, without, said, tmp_path):
    trial = Trial(needed(script), script.default, tmp_path)
    if script in (XGBOOST, LIGHTGBM):
        # The restart is known only when it should have resumed.
        trial.run(4, stop_after=2, replaced=(without, ""))
    with pytest.raises(ValueError, match=said):
        trial.run(4, replaced=(without, ""))
    run_alone(script, script.count, "1", folder=tmp_path, replaced=(without, ""))


def test_a_checkpoint_that_would_have_to_be_unpickled_is_refused_when_it_is_saved(tmp_path):
    needed(LIGHTNING)
    trial = Trial(LIGHTNING, LIGHTNING.default, tmp_path)
    with pytest.raises(ValueError, match=r"holds more than data \(.*PosixPath.*ignore="):
        trial.run(
            4, replaced=("width: int) -> None:", 'width: int, at=__import__("pathlib").Path()):')
        )
    assert trial.reports == []


@pytest.mark.parametrize("script", [XGBOOST, LIGHTGBM], ids=str)
def test_rounds_can_be_reported_now_and_then(script, tmp_path):
    trial = Trial(needed(script), script.default, tmp_path)
    trial.run(7, stop_after=6, replaced=("TuneCallback()", "TuneCallback(every=3)"))
    trial.run(11, replaced=("TuneCallback()", "TuneCallback(every=3)"))
    assert list(trial.values_of(script.metric)) == [3, 6, 9]
    with pytest.raises(ValueError, match="every=0"):
        trial.run(3, replaced=("TuneCallback()", "TuneCallback(every=0)"))


def test_an_estimator_is_loaded_from_its_checkpoint_and_refused_where_it_is_of_somebody_elses(
    tmp_path,
):
    trial = Trial(needed(SKLEARN), SKLEARN.default, tmp_path)
    trial.run(2)
    from tune_cluster.integrations.sklearn import load_best

    named = run_alone(SKLEARN, "--epochs", "0", folder=tmp_path)
    model = load_best(trial.checkpoint)
    accuracy = model.score(named["val"], named["val_labels"])
    assert accuracy == trial.values_of("val_accuracy")[2]
    with pytest.raises(ValueError, match=r"none of scikit-learn's \(.*PosixPath.*state_dict"):
        trial.run(
            3,
            replaced=(
                "        tc.report",
                "        model.at = __import__('pathlib').Path()\n        tc.report",
            ),
        )


@pytest.mark.long
def test_a_script_of_pytorch_lightning_gets_a_callback_of_that_package(tmp_path):
    pytest.importorskip("pytorch_lightning")
    code = f"""
import pytorch_lightning as L
from tests.integrations.scripts import LIGHTNING, Trial
trial = Trial(LIGHTNING, {LIGHTNING.default}, {str(tmp_path)!r})
trial.run(2, stop_after=1, replaced=("import lightning as L", "import pytorch_lightning as L"))
trial.run(2, replaced=("import lightning as L", "import pytorch_lightning as L"))
assert list(trial.values_of("val_loss")) == [1, 2], trial.reports
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
