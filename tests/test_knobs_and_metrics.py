"""Real studies of real jobs, whose hyperparameters and metric a person gives."""

import gzip
import hashlib
import json

import numpy as np
import pytest
import torch
from torchvision import datasets as torchvision_datasets

from search_spaces.knobs import Knobs
from tests.conftest import journal_of
from tests.trainables.image.test_datasets import idx_bytes
from trainables.image.options import ImageFlags
from trainables.image.torchvision_datasets import SYSTEM_FASHION_MNIST
from trainables.prediction.metric_flags import MetricFlags
from tune_cluster import run
from tune_jobs import asha_lr_batch, grid_optimizer, random_loss

TWENTY = 21
"""One sample of the rare class in so many."""


def imbalanced(folder):
    """Write images of which every 21st has a faint pattern, which is the other class."""
    rng = np.random.default_rng(0)
    pattern = np.indices((6, 6)).sum(axis=0) % 2 * 2 - 1
    arrays = {}
    for x, y in (("x", "y"), ("x_test", "y_test")):
        labels = (np.arange(2100) % TWENTY == 0).astype(np.int64)
        strength = 14 * rng.uniform(0.5, 1.5, 2100) * labels
        pixels = rng.normal(120, 40, (2100, 6, 6)) + strength[:, None, None] * pattern
        arrays |= {x: np.clip(pixels, 0, 255).astype(np.uint8), y: labels}
    np.savez(folder / "rare.npz", **arrays)
    return str(folder / "rare.npz")


def study_of(
    job, folder, name, *, fix=(), search=(), metric=None, dataset="digits", data_dir=None, **options
):
    """Run a job to its end; its directory."""
    result = run(
        job,
        images=ImageFlags(dataset=dataset, data_dir=data_dir or folder),
        knobs=Knobs(fix=fix, search=search),
        scoring=MetricFlags(metric=metric),
        storage_path=str(folder),
        name=name,
        max_concurrent=1,
        **options,
    )
    assert result.complete
    return folder / name


def best_of(study):
    return json.loads((study / "best" / "best.json").read_text())


@pytest.mark.long
def test_with_a_rare_class_the_best_by_f1_has_a_higher_f1_than_the_best_by_accuracy(
    cluster_address, tmp_path
):
    dataset = imbalanced(tmp_path)
    best = {}
    for metric in ("val_accuracy", "val_f1"):
        study = study_of(
            grid_optimizer.job,
            tmp_path,
            metric,
            fix=("optimizer=sgd", "momentum=0.9", "learning_rate=0.03", "hidden_sizes=(64,)"),
            search=("class_weights=none,balanced",),
            metric=metric,
            dataset=dataset,
            max_epochs=4,
        )
        best[metric] = best_of(study)
    by_accuracy, by_f1 = (best[metric]["metrics"] for metric in best)
    assert by_accuracy["val_accuracy"] >= by_f1["val_accuracy"]
    assert by_f1["val_f1"] > by_accuracy["val_f1"] + 0.05
    assert best["val_f1"]["val_f1"] == by_f1["val_f1"]
    assert best["val_f1"]["config"]["class_weights"] == "balanced"
    assert best["val_f1"]["test"]["test_f1"] > best["val_accuracy"]["test"]["test_f1"] + 0.05


@pytest.mark.long
def test_a_trial_stops_when_its_loss_no_longer_falls_and_its_lowest_is_kept(
    cluster_address, tmp_path
):
    study = study_of(
        random_loss.job,
        tmp_path,
        "by_loss",
        fix=("patience=2", "loss=cross_entropy", "label_smoothing=0", "hidden_sizes=(256,)"),
        search=("learning_rate=0.3,0.5", "momentum=0.9,0.95"),
        metric="val_loss",
        trials=2,
        max_epochs=60,
    )
    events = journal_of(study)
    for trial in range(2):
        losses = [
            e["metrics"]["val_loss"]
            for e in events
            if e["event"] == "result" and e["trial"] == trial
        ]
        lowest = int(np.argmin(losses))
        assert len(losses) == lowest + 3 < 60, "two epochs of patience"
        kept = study / "trials" / f"{trial:04}" / f"checkpoint_{lowest + 1:06}" / "state.pt"
        assert torch.load(kept, weights_only=True)["epoch"] == lowest + 1
    best = best_of(study)
    every = [e["metrics"]["val_loss"] for e in events if e["event"] == "result"]
    assert best["val_loss"] == min(every)
    assert torch.load(study / "best" / "state.pt", weights_only=True)["epoch"] == best["epoch"]


@pytest.mark.long
def test_a_score_that_only_the_metric_needs_is_in_every_result_and_on_the_test_set(
    cluster_address, tmp_path
):
    flags = {"fix": ("train_ratio=0.5", "patience=6"), "search": ("dropout=0:0.5",)}
    study = study_of(
        asha_lr_batch.job,
        tmp_path,
        "auroc",
        metric="val_auroc",
        trials=2,
        max_epochs=2,
        **flags,
    )
    about = json.loads((study / "study.json").read_text())
    assert (about["metric"], about["mode"]) == ("val_auroc", "max")
    assert about["options"]["fix"] == ["train_ratio=0.5", "patience=6"]
    fixed = about["space"]["fixed"]
    assert (fixed["train_ratio"], fixed["patience"], fixed["more_scores"]) == (0.5, 6, ["auroc"])
    results = [e["metrics"] for e in journal_of(study) if e["event"] == "result"]
    assert all(0.5 < metrics["val_auroc"] <= 1 for metrics in results)
    best = best_of(study)
    assert best["val_auroc"] == max(metrics["val_auroc"] for metrics in results)
    assert 0.5 < best["test"]["test_auroc"] <= 1
    # A resume has the flags of the start, and takes no others.
    options = {"resume": str(study), "trials": 3, "images": ImageFlags(dataset="digits")}
    assert run(asha_lr_batch.job, **options).complete
    for changed, said in {
        ("patience=5", "train_ratio=0.5"): "--fix .* was started with",
        ("patience=6",): "--fix .* was started with",
    }.items():
        with pytest.raises(ValueError, match=said):
            run(asha_lr_batch.job, **options, knobs=Knobs(**{**flags, "fix": changed}))
    with pytest.raises(ValueError, match="--metric val_f1: the study was started with val_auroc"):
        run(asha_lr_batch.job, **options, scoring=MetricFlags(metric="val_f1"))


def write_mnist(folder, counts):
    """Write the first images of Fashion-MNIST as the four files of MNIST; their MD5 by name."""
    folder.mkdir(parents=True)
    md5 = {}
    for part, count in counts.items():
        for name, header, shape in (
            ("images-idx3-ubyte", 16, (count, 28, 28)),
            ("labels-idx1-ubyte", 8, (count,)),
        ):
            file = f"{part}-{name}.gz"
            content = gzip.decompress((SYSTEM_FASHION_MNIST / file).read_bytes())
            array = np.frombuffer(content, np.uint8, int(np.prod(shape)), header).reshape(shape)
            packed = gzip.compress(idx_bytes(array), mtime=0)
            (folder / file).write_bytes(packed)
            md5[file] = hashlib.md5(packed).hexdigest()
    return md5


@pytest.mark.long
@pytest.mark.skipif(not SYSTEM_FASHION_MNIST.is_dir(), reason="Debian's dataset is not here")
def test_mnist_trains_the_network_784_512_256_10_from_files_that_are_verified_or_told(
    cluster_address, tmp_path, monkeypatch
):
    raw = tmp_path / "data" / "MNIST" / "raw"
    md5 = write_mnist(raw, {"train": 3000, "t10k": 500})
    flags = {
        "fix": ("hidden_sizes=(512,256)", "batch_size=64"),
        "dataset": "mnist",
        "data_dir": tmp_path / "data",
        "trials": 1,
        "max_epochs": 3,
    }
    with pytest.raises(ValueError, match="is damaged: its MD5"):
        study_of(random_loss.job, tmp_path, "unknown", **flags)
    assert not (tmp_path / "unknown").exists()

    # The checksums of torchvision's list are those of the files: all of them are verified.
    with monkeypatch.context() as patch:
        patch.setattr(torchvision_datasets.MNIST, "resources", list(md5.items()))
        study = study_of(random_loss.job, tmp_path, "verified", **flags)
    about = json.loads((study / "study.json").read_text())["dataset"]
    assert (about["name"], about["notice"]) == ("mnist", "")
    (network,) = torch.load(study / "best" / "state.pt", weights_only=True)["networks"]
    shapes = [tuple(w.shape) for w in network["model"].values() if w.ndim == 2]
    assert shapes == [(512, 784), (256, 512), (10, 256)]
    assert best_of(study)["test"]["test_accuracy"] > 0.6

    # Unpacked files alone have nothing to be compared with.
    for packed in raw.glob("*.gz"):
        packed.unlink()
    again = study_of(random_loss.job, tmp_path, "unverified", **flags)
    told = json.loads((again / "study.json").read_text())["dataset"]
    assert "could not be verified" in told["notice"]
    assert told["fingerprint"] == about["fingerprint"]
    assert best_of(again)["val_accuracy"] == best_of(study)["val_accuracy"]
