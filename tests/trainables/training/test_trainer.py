"""Training of one network: each option has its effect, and none where it is off."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.trainables.training.test_loop import assert_same_run, history
from trainables.data.dataset import Part
from trainables.image import task
from trainables.image.augmentation import augment, mixed
from trainables.image.config import ImageConfig
from trainables.image.task import ImageData
from trainables.training.evaluation import evaluate_part
from trainables.training.loop import fit, trainers
from trainables.training.state import save_state, snapshot
from trainables.training.task import Batch
from trainables.training.trainer import predict

SMALL = ImageConfig(hidden_sizes=(16,), channels=(4, 8), batch_size=32, epochs=4, dropout=0.0)


def weights_after(config, data, epochs=1):
    (trainer,) = trainers(config, ImageData(data))
    for epoch in range(1, epochs + 1):
        result = trainer.run_epoch(epoch)
    return trainer.task.model.state_dict(), result


def assert_close(weights, others, **tolerance):
    for name, value in weights.items():
        assert torch.allclose(value, others[name], **tolerance), name


@pytest.mark.parametrize("class_weights", ["none", "balanced"])
@pytest.mark.parametrize("loss", ["cross_entropy", "margin", "focal"])
@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_sixteen_parts_of_four_make_the_update_of_a_batch_of_64(tiny, model, loss, class_weights):
    whole = replace(SMALL, model=model, loss=loss, class_weights=class_weights, batch_size=64)
    # Batch norm sees a part at a time.
    whole = replace(whole, norm="none")
    expected, result = weights_after(whole, tiny)
    found, in_parts = weights_after(replace(whole, accumulation_steps=16), tiny)
    assert_close(found, expected, atol=1e-5)
    assert in_parts.loss == pytest.approx(result.loss, rel=1e-5)
    assert in_parts.scores == result.scores


def test_gradients_are_shortened_to_the_norm_and_shorter_ones_left(tiny):
    plain = replace(SMALL, momentum=0.0, learning_rate=1.0, epochs=1, batch_size=200)
    for longest, length in ((1e-3, 1e-3), (1e6, None)):
        config = replace(plain, grad_clip_norm=longest)
        (trainer,) = trainers(config, ImageData(tiny))
        before = snapshot_of(trainer)
        trainer.run_epoch(1)
        moved = norm_of(before, snapshot_of(trainer))
        if length is None:
            unclipped, _ = weights_after(plain, tiny)
            assert_close(trainer.task.model.state_dict(), unclipped, atol=1e-6)
        else:
            assert moved == pytest.approx(length, rel=1e-3)


def snapshot_of(trainer):
    return {name: p.detach().clone() for name, p in trainer.task.model.named_parameters()}


def norm_of(before, after):
    return float(sum(((after[name] - before[name]) ** 2).sum() for name in before) ** 0.5)


def test_a_batch_size_schedule_makes_fewer_updates_as_batches_grow(tiny):
    config = replace(SMALL, batch_size=20, final_batch_size=80, batch_size_schedule="linear")
    updates = [metrics["updates"] for metrics, _ in fit(config, ImageData(tiny))]
    # 200 images in batches of 20, 40, 60 and 80.
    assert updates == [10, 15, 19, 22]


@pytest.mark.parametrize("sizes", [(20, 80), (80, 20)])
def test_where_batches_grow_or_shrink_a_warm_up_of_an_epoch_ends_with_it(tiny, sizes):
    first, last = sizes
    config = replace(SMALL, batch_size=first, final_batch_size=last, learning_rate=0.1)
    config = replace(config, batch_size_schedule="linear", epochs_warmup=1, epochs_ending=1)
    rates = [metrics["learning_rate"] for metrics, _ in fit(config, ImageData(tiny))]
    assert 0.05 < rates[0] < 0.1
    assert rates[1:3] == [0.1, 0.1]
    assert 0 < rates[3] < 0.06


def test_the_learning_rate_is_that_of_the_schedule_at_the_last_step(tiny):
    config = replace(SMALL, schedule="linear", learning_rate=0.1, batch_size=50)
    rates = [metrics["learning_rate"] for metrics, _ in fit(config, ImageData(tiny))]
    # Of 16 steps those from 0: 3, 7, 11 and 15.
    assert rates == pytest.approx([0.1 * (1 - step / 16) for step in (3, 7, 11, 15)])


@pytest.fixture
def weights(tiny, tmp_path):
    *_, (_, state) = fit(replace(SMALL, norm="batch", epochs=2), ImageData(tiny))
    save_state(state, tmp_path / "state.pt")
    return str(tmp_path / "state.pt")


def test_a_frozen_body_neither_moves_nor_is_remembered_and_thaws(tiny, weights):
    config = replace(SMALL, norm="batch", pretrained=weights, freeze_epochs=2)
    states = [snapshot(state).networks[0] for _, state in fit(config, ImageData(tiny))]
    body = [name for name in states[0].model if not name.startswith("5.")]
    pretrained = torch.load(weights, weights_only=True)["networks"][0]["model"]
    for frozen in states[:2]:
        for name in body:
            assert torch.equal(frozen.model[name], pretrained[name]), name
        assert len(frozen.optimizer) == 2, "weight and bias of the head"
    assert not torch.equal(states[0].model["5.weight"], pretrained["5.weight"])
    assert not torch.equal(states[2].model["1.weight"], pretrained["1.weight"])
    assert len(states[2].optimizer) == 6


def test_what_is_frozen_requires_no_gradient(tiny, weights):
    config = replace(SMALL, norm="batch", pretrained=weights, freeze_epochs=1)
    (trainer,) = trainers(config, ImageData(tiny))
    asked = [parameter.requires_grad for parameter in trainer.task.model.parameters()]
    assert asked == [False] * 4 + [True] * 2
    trainer.run_epoch(1)
    trainer.run_epoch(2)
    assert all(parameter.requires_grad for parameter in trainer.task.model.parameters())


def batch_of(trainer, count=8):
    """The first of its images, as they are placed, and their labels."""
    return Batch(trainer.task._images[:count], trainer.task._targets[:count])


def test_under_mixup_the_loss_is_mixed_as_the_images_are(tiny):
    config = replace(SMALL, augmentation="mixup", mixup_alpha=1.0)
    (trainer,) = trainers(config, ImageData(tiny))
    images, labels = batch_of(trainer)
    inputs = trainer.task.standardise(images)  # type: ignore[attr-defined]
    torch.manual_seed(3)
    _, partner, share = mixed(inputs, config.mixup_alpha)
    assert 0.5 < share < 0.99
    assert partner.tolist() != sorted(partner.tolist())
    logits = trainer.task.model(share * inputs + (1 - share) * inputs[partner]).detach()
    own, other = F.cross_entropy(logits, labels), F.cross_entropy(logits, labels[partner])
    torch.manual_seed(3)
    loss, _ = trainer._backward(Batch(images, labels))
    assert float(loss) == pytest.approx(float(share * own + (1 - share) * other), rel=1e-5)


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_batches_are_augmented_several_at_a_time_and_validation_never(tiny, monkeypatch, model):
    monkeypatch.setattr(task, "BYTES_TOGETHER", 3 * 20 * 64)
    config = replace(SMALL, augmentation="erasing", model=model, batch_size=20)
    (trainer,) = trainers(config, ImageData(tiny))
    images = trainer.task._images  # type: ignore[attr-defined]
    sizes = [20] * 10
    torch.manual_seed(3)
    found = [batch.inputs for batch in trainer.task.batches(sizes)]
    mean = round(float(tiny.train.inputs.pixels.mean()))
    torch.manual_seed(3)
    order = torch.randperm(200)
    expected = [
        augment(images[some].view(-1, 1, 8, 8), "erasing", torch.tensor([[[mean]]]).byte())
        for some in order.split(60)
    ]
    assert [len(batch) for batch in found] == sizes
    assert torch.equal(torch.cat(found).flatten(), torch.cat(expected).flatten())
    assert torch.cat(found).shape[1:] == images.shape[1:]
    (plain,) = trainers(replace(config, augmentation="none"), ImageData(tiny))
    assert trainer.evaluate() == plain.evaluate()


KNOBS = {
    "resnet": {"model": "resnet", "norm": "batch"},
    "cnn": {"model": "cnn", "norm": "batch"},
    "batch norm": {"norm": "batch"},
    "adamw": {"optimizer": "adamw", "weight_decay": 0.1},
    "adagrad": {"optimizer": "adagrad"},
    "rmsprop": {"optimizer": "rmsprop"},
    "nesterov": {"nesterov": True},
    "parts": {"accumulation_steps": 4, "grad_clip_norm": 0.5},
    "growing": {"batch_size_schedule": "linear", "final_batch_size": 64},
    # Learning nothing, it steps down after the third epoch.
    "plateau": {
        **{"schedule": "plateau", "scheduler_patience": 1, "patience": 0, "epochs": 6},
        **{"learning_rate": 1e-12, "epochs_warmup": 1.0},
    },
    "composed": {"schedule": "cosine", "epochs_warmup": 0.5, "epochs_ending": 1, "cycles": 2},
    "focal": {"loss": "focal", "class_weights": "balanced"},
    "margin": {"loss": "margin"},
    "smoothed": {"label_smoothing": 0.1},
    "mixup": {"augmentation": "mixup"},
    "erasing": {"augmentation": "erasing", "model": "cnn", "norm": "batch"},
    "average": {"ema_decay": 0.99, "norm": "batch"},
    "folds": {"folds": 3, "ema_decay": 0.9, "norm": "batch"},
    "frozen": {"norm": "batch", "freeze_epochs": 2, "weight_decay": 0.01},
    "patience": {"patience": 1, "learning_rate": 0.5},
}


@pytest.mark.parametrize("case", KNOBS)
def test_with_any_knob_a_run_that_goes_on_equals_the_uninterrupted_one(tiny, weights, case):
    pretrained = weights if case == "frozen" else ""
    config = replace(SMALL, dropout=0.2, pretrained=pretrained, **KNOBS[case])
    whole = history(fit(config, ImageData(tiny)))
    for done in range(1, len(whole)):
        assert_same_run(history(fit(config, ImageData(tiny), whole[done - 1][1])), whole[done:])
    assert list(fit(config, ImageData(tiny), whole[-1][1])) == []
    if case == "plateau":
        rates = {metrics["learning_rate"] for metrics, _ in whole[1:]}
        assert len(rates) > 1, "it stepped down"


def test_memory_of_other_layers_than_are_trained_is_refused(tiny, weights):
    config = replace(SMALL, norm="batch", pretrained=weights, freeze_epochs=2)
    _, state = next(fit(config, ImageData(tiny)))
    with pytest.raises(ValueError, match="after 1 epochs, 0 of them frozen"):
        next(fit(replace(config, freeze_epochs=0), ImageData(tiny), snapshot(state)))


def test_weight_decay_may_begin_in_a_run_that_goes_on(tiny):
    _, state = next(fit(SMALL, ImageData(tiny)))
    assert len(list(fit(replace(SMALL, weight_decay=0.01), ImageData(tiny), snapshot(state)))) == 3


def test_a_run_that_goes_on_in_other_batches_is_where_its_epoch_is(tiny):
    """Do as a population's member does that takes over the weights of another one."""
    config = replace(SMALL, schedule="linear", batch_size=10)
    images = ImageData(tiny)
    _, state = next(fit(config, images))
    in_other = replace(config, batch_size=50)
    rates = [
        metrics["learning_rate"] for metrics, _ in fit(in_other, ImageData(tiny), snapshot(state))
    ]
    whole = [metrics["learning_rate"] for metrics, _ in fit(in_other, images)]
    assert rates == whole[1:]


@pytest.mark.parametrize(
    ("fields", "minimised"),
    [
        ({"loss": "margin"}, lambda z, y: F.multi_margin_loss(z, y)),
        ({"label_smoothing": 0.2}, lambda z, y: F.cross_entropy(z, y, label_smoothing=0.2)),
    ],
)
def test_what_is_minimised_is_told_of_the_validation_set_too(tiny, fields, minimised):
    (trainer,) = trainers(replace(SMALL, **fields), ImageData(tiny))
    images, labels = trainer.task.validation
    logits = predict(trainer.task, trainer.config, images)
    told = trainer.evaluate()
    assert told["objective"] == pytest.approx(float(minimised(logits, labels)))
    assert told["loss"] == pytest.approx(float(F.cross_entropy(logits, labels)))
    *_, (metrics, _) = fit(replace(SMALL, **fields), ImageData(tiny))
    assert metrics["val_objective"] != metrics["val_loss"]
    *_, (metrics, _) = fit(SMALL, ImageData(tiny))
    assert "val_objective" not in metrics


def test_patience_ends_a_run_and_a_run_that_it_ended_is_not_gone_on_with(tiny):
    config = replace(SMALL, patience=2, learning_rate=1e-12, epochs=20)
    run = list(fit(config, ImageData(tiny)))
    assert len(run) < 20
    assert list(fit(config, ImageData(tiny), run[-1][1])) == []
    assert len(list(fit(replace(config, patience=0), ImageData(tiny)))) == 20


def test_step_losses_are_told_by_their_number_in_the_run(tiny):
    run = [metrics for metrics, _ in fit(replace(SMALL, print_freq=3), ImageData(tiny))]
    # Seven updates an epoch.
    assert [[step for step, _ in metrics["step_losses"]] for metrics in run] == [
        [3, 6],
        [9, 12],
        [15, 18, 21],
        [24, 27],
    ]
    every = [metrics for metrics, _ in fit(replace(SMALL, print_freq=1), ImageData(tiny))]
    losses = dict(pair for metrics in every for pair in metrics["step_losses"])
    assert all(losses[step] == loss for metrics in run for step, loss in metrics["step_losses"])
    assert all(
        m["step_losses"] == [] for m, _ in fit(replace(SMALL, print_freq=0), ImageData(tiny))
    )


def test_logged_steps_have_scores_and_learning_rate_of_their_batch(tiny):
    config = replace(SMALL, print_freq=1, schedule="linear", batch_size=200, epochs=3)
    told = []
    steps = fit(config, ImageData(tiny), listener=lambda epoch, step: told.append((epoch, step)))
    run = [metrics for metrics, _ in steps]
    # One batch an epoch: its values are those of the epoch.
    for update, metrics in enumerate(run, start=1):
        scores = {name: dict(pairs) for name, pairs in metrics["step_scores"].items()}
        assert set(scores) == {"accuracy", "learning_rate", "samples_per_second"}
        assert scores["accuracy"] == {update: metrics["train_accuracy"]}
        assert scores["learning_rate"] == {update: metrics["learning_rate"]}
        assert scores["samples_per_second"][update] >= metrics["samples_per_second"]
    assert [(epoch, step.update) for epoch, step in told] == [(1, 1), (2, 2), (3, 3)]
    assert [step.loss for _, step in told] == [dict(m["step_losses"])[m["updates"]] for m in run]


def test_steps_are_told_of_the_first_fold_alone(tiny):
    config = replace(SMALL, print_freq=10, batch_size=2, folds=2, epochs=1)
    told = []
    steps = fit(config, ImageData(tiny), listener=lambda _, step: told.append(step.update))
    metrics, _ = next(steps)
    assert told == [step for step, _ in metrics["step_losses"]] != []


def test_what_is_logged_changes_no_weight(tiny):
    losses = [
        [metrics["val_loss"] for metrics, _ in fit(config, ImageData(tiny))]
        for config in (replace(SMALL, print_freq=1), replace(SMALL, print_freq=0))
    ]
    assert losses[0] == losses[1]


def test_folds_report_mean_and_deviation_of_what_each_would_report(tiny):
    config = replace(SMALL, folds=4, epochs=2)
    run = list(fit(config, ImageData(tiny)))
    networks = trainers(config, ImageData(tiny))
    for metrics, _ in run:
        for trainer in networks:
            trainer.run_epoch(int(metrics["epoch"]))
        scores = [trainer.evaluate() for trainer in networks]
        for name in ("loss", "accuracy", "f1"):
            values = torch.tensor([score[name] for score in scores], dtype=torch.float64)
            assert metrics[f"val_{name}"] == pytest.approx(float(values.mean()))
            if name != "f1":
                assert metrics[f"val_{name}_std"] == pytest.approx(float(values.std()))
    assert len({score["loss"] for score in scores}) == 4, "each has weights of its own"


def test_folds_are_an_ensemble_on_other_images(tiny):
    # Longer, and the loss is so near to 0 that float32 has not the digits to compare.
    config = replace(SMALL, folds=3, epochs=2)
    *_, (_, state) = fit(config, ImageData(tiny))
    found = evaluate_part(config, state, ImageData(tiny), Part(tiny.inputs, tiny.targets))
    networks = trainers(config, ImageData(tiny))
    for trainer, one in zip(networks, state.networks, strict=True):
        trainer.task.model.load_state_dict(one.model)
    pixels = torch.from_numpy(tiny.inputs.pixels).flatten(1)
    each = torch.stack([predict(t.task, config, pixels).double().softmax(dim=1) for t in networks])
    labels = torch.from_numpy(tiny.targets)
    expected = F.nll_loss(each.mean(dim=0).log(), labels)
    assert found["loss"] == pytest.approx(float(expected), rel=1e-5)
    assert found["loss"] != pytest.approx(float(F.nll_loss(each[0].log(), labels)), rel=1e-3)
    single = replace(config, folds=0, epochs=9)
    with pytest.raises(ValueError, match="has 3 networks, the config has 1 folds"):
        next(fit(single, ImageData(tiny), state))
    with pytest.raises(ValueError, match="has 3 networks, the config has 1 folds"):
        evaluate_part(single, state, ImageData(tiny), Part(tiny.inputs, tiny.targets))


def test_the_average_is_what_is_validated_and_evaluated(tiny):
    config = replace(SMALL, ema_decay=0.9)
    *_, (metrics, state) = fit(config, ImageData(tiny))
    plain = replace(config, ema_decay=0.0)
    *_, (of_weights, weights_alone) = fit(plain, ImageData(tiny))
    for name, value in weights_alone.networks[0].model.items():
        assert torch.equal(value, state.networks[0].model[name]), "it changes no training"
    assert metrics["val_loss"] != of_weights["val_loss"]
    again = evaluate_part(config, state, ImageData(tiny), tiny.validation)
    assert again["loss"] == metrics["val_loss"]


@pytest.mark.parametrize("count", [33, 65])
def test_batch_norm_of_an_mlp_never_sees_a_batch_of_one(tiny, count):
    data = replace(tiny, train_count=count, train_ratio=count / 250)
    config = replace(SMALL, norm="batch", train_ratio=count / 250)
    _, result = weights_after(config, data)
    assert result.samples == count


def test_balanced_weights_make_small_classes_count(tiny):
    rare = (tiny.targets != 0).nonzero()[0]
    keep = sorted([*rare, *(tiny.targets == 0).nonzero()[0][:6]])
    data = replace(
        tiny,
        inputs=tiny.inputs[np.array(keep)],
        targets=tiny.targets[keep],
        train_count=int(0.8 * len(keep)),
    )
    config = replace(SMALL, epochs=3, learning_rate=0.05)
    recall = {}
    for weights in ("none", "balanced"):
        *_, (_, state) = fit(replace(config, class_weights=weights), ImageData(data))
        zeros = tiny.targets == 0
        part = Part(tiny.inputs[zeros], tiny.targets[zeros])
        scores = evaluate_part(config, state, ImageData(data), part)
        recall[weights] = scores["accuracy"]
    assert recall["balanced"] > recall["none"]
