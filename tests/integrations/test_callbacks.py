"""The callbacks for other libraries, in trials without a study: the real libraries train."""

import pytest

from tests.integrations.scripts import (
    LIGHTGBM,
    LIGHTNING,
    SCRIPTS,
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
        # That it begins anew is known when it should have resumed.
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
