import math
import re
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from ray import tune
from ray.tune.trainable import trainable as ray_trainable

from trainables.data.dataset import Dataset
from trainables.image.config import ImageConfig
from trainables.image.image_classifier import ImageClassifier
from trainables.image.task import ImageData
from trainables.training.loop import fit
from trainables.training.state import load_state, save_state
from tune_cluster.execution.ray_tune.capabilities import name_of

SMALL = {"hidden_sizes": [16], "batch_size": 32, "epochs": 3, "dropout": 0.3}
CLOCK = ("epoch_seconds", "samples_per_second", "step_scores", "done")


def timeless(metrics):
    return {name: value for name, value in metrics.items() if name not in CLOCK}


@pytest.fixture
def start(tiny, tmp_path, monkeypatch):
    """Start a trial as Tune does, without a cluster."""
    # Outside a study, Tune puts each trainable's folder under the home directory.
    monkeypatch.setattr(ray_trainable, "DEFAULT_STORAGE_PATH", str(tmp_path / "logs"))

    class WithData(ImageClassifier):
        def setup(self, config):  # type: ignore[override]
            super().setup(config, data=tiny)

    return WithData


def test_a_trial_reports_what_the_loop_yields_and_is_done_at_the_last_epoch(start, tiny):
    trial = start(SMALL)
    results = [trial.step() for _ in range(3)]
    expected = [metrics for metrics, _ in fit(ImageConfig.from_dict(SMALL), ImageData(tiny))]
    assert [timeless(result) for result in results] == [timeless(m) for m in expected]
    assert [result["done"] for result in results] == [False, False, True]
    with pytest.raises(ValueError, match="after 3 of 3 epochs"):
        trial.step()


def test_a_trial_prints_its_logged_steps_to_its_log(start, capsys):
    # 200 images: 7 updates an epoch.
    start({**SMALL, "print_freq": 3}).step()
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["epoch 1, update 3", "epoch 1, update 6"]
    number = r"[\d.,e-]+"
    expected = f"loss {number}, accuracy {number}, learning_rate 0.01, {number} samples/s"
    assert all(re.fullmatch(f".*: {expected}", line) for line in lines)


def test_a_trial_goes_on_from_a_checkpoint(start, tmp_path):
    first = start(SMALL)
    first.step()
    first.save_checkpoint(str(tmp_path))
    second = start(SMALL)
    second.load_checkpoint(str(tmp_path))
    second.save_checkpoint(str(tmp_path))
    for _ in range(2):
        assert timeless(first.step()) == timeless(second.step())


def test_a_process_that_is_reused_gives_the_same_trial_as_a_new_one(start):
    reused = start({**SMALL, "seed": 1})
    reused.step()
    assert reused.reset({**SMALL, "seed": 2}) is True
    fresh = start({**SMALL, "seed": 2})
    assert [timeless(reused.step()) for _ in range(3)] == [timeless(fresh.step()) for _ in range(3)]


def test_a_diverged_trial_is_done_after_its_first_epoch(start):
    result = start({**SMALL, "learning_rate": 1e30}).step()
    assert result["done"]
    assert math.isnan(result["val_loss"])


def test_a_trial_without_a_grant_runs_on_one_thread(start):
    torch.set_num_threads(2)
    start(SMALL)
    assert torch.get_num_threads() == 1


def test_an_impossible_config_is_refused_before_and_in_a_trial(start):
    with pytest.raises(ValueError, match="learning_rate must be above 0"):
        ImageClassifier.check_config({"learning_rate": -1})
    with pytest.raises(ValueError, match="unknown hyperparameter 'learning_rat'"):
        start({"learning_rat": 1})
    ImageClassifier.check_config(SMALL)


def test_a_config_is_held_against_the_data_and_the_weights_before_anything_is_scheduled(
    tiny, tmp_path
):
    ImageClassifier.check_config({"train_ratio": 0.9})
    with pytest.raises(ValueError, match=r"train_ratio must be at most 0\.8"):
        ImageClassifier.check_config({"train_ratio": 0.9}, tiny)
    _, state = next(fit(ImageConfig.from_dict(SMALL), ImageData(tiny)))
    save_state(state, tmp_path / "state.pt")
    fitting = {**SMALL, "pretrained": str(tmp_path)}
    ImageClassifier.check_config(fitting, tiny)
    with pytest.raises(ValueError, match="weights of another network"):
        ImageClassifier.check_config({**fitting, "model": "cnn"}, tiny)


def test_forgotten_data_are_an_error_that_says_how_to_pass_them(tmp_path, monkeypatch):
    monkeypatch.setattr(ray_trainable, "DEFAULT_STORAGE_PATH", str(tmp_path / "logs"))
    with pytest.raises(ValueError, match=r"tune\.with_parameters"):
        ImageClassifier(SMALL)


def test_a_trial_is_measured_with_its_checkpoint_and_the_threads_are_what_they_were(tiny, tmp_path):
    torch.set_num_threads(2)
    seconds = ImageClassifier.measure(SMALL, str(tmp_path), data=tiny)
    assert 0 < seconds["step_seconds"] < seconds["epoch_seconds"]
    assert torch.get_num_threads() == 2
    assert load_state(tmp_path / "state.pt").networks[0].updates > 0


def test_a_checkpoint_is_evaluated_on_the_test_set(start, tiny, tmp_path):
    trial = start(SMALL)
    result = trial.step()
    trial.save_checkpoint(str(tmp_path))
    # The validation images in the place of test images: the figures must be those of the trial.
    dataset = Dataset(
        name="tiny",
        search=tiny,
        test=tiny.validation,
        notice="",
        source="here",
        fingerprint="",
    )
    scores = ImageClassifier.evaluate(SMALL, str(tmp_path), dataset)
    assert scores == {
        name.replace("val_", "test_"): result[name] for name in result if name.startswith("val_")
    }


def test_a_worker_does_not_import_torchvision():
    code = (
        "import sys; import trainables.image.image_classifier\n"
        "assert not {'torchvision', 'sklearn', 'matplotlib'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
def test_a_study_in_one_reused_process_gives_what_the_loop_gives(
    cluster_address, tiny, tmp_path, monkeypatch
):
    monkeypatch.setenv("RAY_AIR_NEW_OUTPUT", "0")
    results = tune.Tuner(
        tune.with_parameters(ImageClassifier, data=tiny),
        param_space={**SMALL, "seed": tune.grid_search([1, 2])},
        tune_config=tune.TuneConfig(reuse_actors=True, max_concurrent_trials=1),
        run_config=tune.RunConfig(
            storage_path=str(tmp_path),
            verbose=0,
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=True),
        ),
    ).fit()
    assert not results.errors
    found = [results[index] for index in range(len(results))]
    # One process for both trials.
    assert len({result.metrics["pid"] for result in found}) == 1
    for result in found:
        config = ImageConfig.from_dict(result.config)
        *_, (expected, _) = fit(replace(config), ImageData(tiny))
        assert {name: result.metrics[name] for name in timeless(expected)} == timeless(expected)
        assert result.checkpoint is not None


def test_studies_know_it_by_the_name_that_it_had_before_it_moved():
    class Own(ImageClassifier):
        """A person's own, which is another one."""

    assert name_of(ImageClassifier) == ("trainables.image_classifier.ImageClassifier")
    assert name_of(Own) == f"{__name__}.Own"
