"""What a checkpoint predicts, by folds, and the mean of the weights of several."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from trainables.data.dataset import Dataset, Part
from trainables.data.splits import split
from trainables.image.config import ImageConfig
from trainables.image.image_classifier import ImageClassifier
from trainables.image.images import Images
from trainables.image.task import ImageData
from trainables.training.loop import fit
from trainables.training.state import STATE_FILE, load_state, save_state, snapshot
from trainables.training.trainer import predict

SMALL = {"hidden_sizes": (16,), "batch_size": 32, "epochs": 2, "dropout": 0.0, "patience": 0}
CNN = {**SMALL, "model": "cnn", "channels": (4,), "learning_rate": 0.05}


@pytest.fixture(scope="module")
def dataset(tiny):
    test = Part(tiny.inputs[:40], tiny.targets[:40])
    return Dataset(name="tiny", search=tiny, test=test, notice="", source="", fingerprint="")


@pytest.fixture
def trained(tiny, tmp_path):
    """Train a configuration on `tiny`, or on other samples; the folder of its checkpoint."""
    made = []

    def train(config, data=tiny):
        *_, (_, state) = fit(ImageConfig.from_dict(config), ImageData(data))
        folder = tmp_path / f"checkpoint_{len(made)}"
        folder.mkdir()
        made.append(folder)
        save_state(state, folder / STATE_FILE)
        return str(folder)

    return train


def test_validation_samples_are_predicted_as_the_trial_has_scored_them(dataset, tiny, trained):
    config = {**SMALL, "ema_decay": 0.9}
    *_, (metrics, _) = fit(ImageConfig.from_dict(config), ImageData(tiny))
    found = ImageClassifier.predict(config, trained(config), dataset, "validation")
    assert found["rows"].tolist() == list(range(tiny.train_count, len(tiny.targets)))
    assert (found["targets"] == tiny.targets[found["rows"]]).all()
    np.testing.assert_allclose(found["predicted"].sum(axis=1), 1, rtol=1e-6)
    accuracy = (found["predicted"].argmax(axis=1) == found["targets"]).mean()
    assert accuracy == pytest.approx(metrics["val_accuracy"])


def test_with_folds_each_sample_is_predicted_by_the_network_that_has_not_seen_it(
    dataset, tiny, trained
):
    config = {**SMALL, "folds": 5}
    folder = trained(config)
    found = ImageClassifier.predict(config, folder, dataset, "validation")
    assert found["rows"].tolist() == list(range(len(tiny.targets)))
    assert (found["targets"] == tiny.targets).all()
    checked, state = ImageConfig.from_dict(config), load_state(f"{folder}/{STATE_FILE}")
    for task, network, block in zip(
        ImageData(tiny).tasks(checked), state.networks, tiny.blocks(5), strict=True
    ):
        task.model.load_state_dict(network.model)
        own = predict(task, checked, task.validation.inputs).softmax(dim=1)
        np.testing.assert_allclose(found["predicted"][block], own, rtol=1e-4, atol=1e-6)


def test_noise_is_not_known_out_of_fold(trained):
    """A leak would show: networks that have learned labels at random by heart."""
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (120, 1, 8, 8)).astype(np.uint8)
    labels = generator.integers(0, 2, 120).astype(np.int64)
    whole = Part(Images(pixels), labels)
    data = split("noise", whole, class_names=("a", "b"), seed=0, train_ratio=0.8)
    config = {**SMALL, "hidden_sizes": (64,), "folds": 4, "epochs": 30, "learning_rate": 0.1}
    noise = Dataset(name="noise", search=data, test=whole, notice="", source="", fingerprint="")
    folder = trained(config, data)
    held_out = ImageClassifier.predict(config, folder, noise, "validation")
    assert (held_out["predicted"].argmax(axis=1) == data.targets).mean() < 0.7
    # Three of the four networks have seen each of these.
    known = ImageClassifier.predict(config, folder, noise, "test")
    assert (known["predicted"].argmax(axis=1) == labels).mean() > 0.95


def test_the_test_set_is_predicted_by_all_folds_as_it_is_evaluated(dataset, trained):
    config = {**SMALL, "folds": 3}
    folder = trained(config)
    found = ImageClassifier.predict(config, folder, dataset, "test")
    scores = ImageClassifier.evaluate(config, folder, dataset)
    assert (found["predicted"].argmax(axis=1) == found["targets"]).mean() == pytest.approx(
        scores["test_accuracy"]
    )
    chosen = found["predicted"][np.arange(len(found["rows"])), found["targets"]]
    assert -np.log(chosen).mean() == pytest.approx(scores["test_loss"], rel=1e-4)


def test_numbers_are_predicted_in_their_own_unit(tiny, trained):
    numbers = 1000.0 + 5.0 * tiny.targets.astype(np.float64)
    data = replace(tiny, targets=numbers, class_names=())
    of_numbers = Dataset(
        name="numbers", search=data, test=data.train, notice="", source="", fingerprint=""
    )
    config = {**SMALL, "loss": "squared_error", "epochs": 1}
    found = ImageClassifier.predict(config, trained(config, data), of_numbers, "validation")
    assert found["predicted"].shape == (50,)
    assert 990 < found["predicted"].mean() < 1025


def test_the_mean_of_equal_weights_predicts_the_same(dataset, trained, tmp_path):
    config = {**SMALL, "folds": 2}
    folder = trained(config)
    ImageClassifier.average([config] * 3, [folder] * 3, dataset, str(tmp_path))
    before, after = (
        ImageClassifier.predict(config, at, dataset, "validation")["predicted"]
        for at in (folder, str(tmp_path))
    )
    np.testing.assert_allclose(before, after, rtol=1e-5, atol=1e-7)


def test_weights_are_averaged_between_trainings_that_differ_in_the_training_alone(
    dataset, trained, tmp_path
):
    configs = [
        {**SMALL, "learning_rate": rate, "dropout": dropout, "augmentation": kind, "ema_decay": ema}
        for rate, dropout, kind, ema in ((0.1, 0.0, "none", 0.0), (0.05, 0.3, "shift", 0.9))
    ]
    folders = [trained(config) for config in configs]
    ImageClassifier.average(configs, folders, dataset, str(tmp_path))
    states = [load_state(f"{folder}/{STATE_FILE}").networks[0].weights for folder in folders]
    soup = load_state(tmp_path / STATE_FILE).networks[0].model
    for name, value in soup.items():
        torch.testing.assert_close(value, (states[0][name] + states[1][name]) / 2)


def test_statistics_of_batch_norm_are_those_of_the_mean_weights(dataset, tiny, trained, tmp_path):
    configs = [{**CNN, "seed": seed} for seed in (0, 1)]
    ImageClassifier.average(configs, [trained(c) for c in configs], dataset, str(tmp_path))
    checked = ImageConfig.from_dict(configs[0])
    (task,) = ImageData(tiny).tasks(checked)
    state = load_state(Path(tmp_path) / STATE_FILE)
    task.model.load_state_dict(state.networks[0].weights)
    convolved = task.model[0](task.standardise(task._images[: tiny.train_count]))
    norm = task.model[1]
    # The mean over batches of batches' statistics: nearly that over all samples.
    torch.testing.assert_close(
        norm.running_mean, convolved.mean(dim=(0, 2, 3)), rtol=0.02, atol=0.02
    )
    torch.testing.assert_close(norm.running_var, convolved.var(dim=(0, 2, 3)), rtol=0.1, atol=0.02)


@pytest.mark.parametrize(
    "changed",
    [
        {"hidden_sizes": (8,)},
        {"activation": "tanh"},
        {"norm": "layer"},
        {"folds": 2},
        # The same layers, but inputs of another scale.
        {"min_std": 5.0},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_weights_of_other_networks_or_inputs_are_not_averaged(dataset, trained, tmp_path, changed):
    configs = [SMALL, {**SMALL, **changed}]
    folders = [trained(config) for config in configs]
    with pytest.raises(ValueError, match="networks"):
        ImageClassifier.average(configs, folders, dataset, str(tmp_path))


def test_an_averaged_state_starts_no_resume_from_wrong_numbers(dataset, tiny, trained, tmp_path):
    """It has no optimizer and no epochs: a training from it begins at the first epoch."""
    ImageClassifier.average([SMALL] * 2, [trained(SMALL)] * 2, dataset, str(tmp_path))
    config = ImageConfig.from_dict({**SMALL, "pretrained": str(tmp_path)})
    metrics, state = next(fit(config, ImageData(tiny)))
    assert metrics["epoch"] == 1
    assert snapshot(state).epoch == 1
