import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from trainables.data.dataset import SearchData
from trainables.image.config import ImageConfig
from trainables.image.images import Images
from trainables.image.task import ImageData
from trainables.training.evaluation import evaluate_part
from trainables.training.loop import fit
from trainables.training.state import load_state, save_state, snapshot

CLOCK = ("epoch_seconds", "samples_per_second")
SMALL = ImageConfig(hidden_sizes=(16,), channels=(4, 8), batch_size=32, epochs=4, dropout=0.3)

METRICS = {
    "epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "val_precision",
    "val_recall", "val_f1", "learning_rate", "updates", "epoch_seconds", "samples_per_second",
    "step_losses", "step_scores",
}  # fmt: skip


def timeless(metrics):
    steps = {name: v for name, v in metrics["step_scores"].items() if name not in CLOCK}
    rest = {name: value for name, value in metrics.items() if name not in CLOCK}
    return {**rest, "step_scores": steps}


def history(steps):
    """Metrics without the clock, and a copy of the weights, of every epoch."""
    return [(timeless(metrics), snapshot(state)) for metrics, state in steps]


def assert_same_run(run, other):
    assert [metrics for metrics, _ in run] == [metrics for metrics, _ in other]
    for (_, state), (_, state_of_other) in zip(run, other, strict=True):
        assert state.patience == state_of_other.patience
        for network, other_network in zip(state.networks, state_of_other.networks, strict=True):
            assert_same_tensors(vars(network), vars(other_network))


def assert_same_tensors(tree, other):
    assert tree.keys() == other.keys()
    for key, value in tree.items():
        if isinstance(value, dict):
            assert_same_tensors(value, other[key])
        elif isinstance(value, torch.Tensor):
            assert torch.equal(value, other[key]), key
        else:
            assert value == other[key], key


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_a_run_killed_after_any_epoch_and_resumed_equals_the_uninterrupted_one(
    tiny, tmp_path, model, optimizer, precision
):
    norm = "batch" if model == "cnn" else "none"
    config = replace(SMALL, model=model, norm=norm, optimizer=optimizer, precision=precision)
    whole = history(fit(config, ImageData(tiny)))
    assert len(whole) == config.epochs
    for killed_after in range(1, config.epochs):
        steps = fit(config, ImageData(tiny))
        for _ in range(killed_after):
            _, state = next(steps)
        save_state(state, tmp_path / "state.pt")
        steps.close()  # type: ignore[attr-defined]
        resumed = history(fit(config, ImageData(tiny), load_state(tmp_path / "state.pt")))
        assert_same_run(resumed, whole[killed_after:])


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_two_interleaved_runs_do_not_disturb_each_other_nor_the_caller(tiny, model):
    first, second = replace(SMALL, model=model), replace(SMALL, model=model, seed=1)
    alone = history(fit(first, ImageData(tiny))), history(fit(second, ImageData(tiny)))
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    together = list(
        zip(
            map_history(fit(first, ImageData(tiny))),
            map_history(fit(second, ImageData(tiny))),
            strict=True,
        )
    )
    assert torch.equal(torch.rand(3), expected)
    assert_same_run([pair[0] for pair in together], alone[0])
    assert_same_run([pair[1] for pair in together], alone[1])
    assert alone[0][0] != alone[1][0]


def map_history(steps):
    return ((timeless(metrics), snapshot(state)) for metrics, state in steps)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_resumed_run_takes_the_learning_rate_of_its_config(tiny, optimizer):
    config = replace(SMALL, optimizer=optimizer)
    _, state = next(fit(config, ImageData(tiny)))
    before = snapshot(state)
    # Too small to change a float32 weight: weights that the old rate would move do not change.
    frozen = replace(config, learning_rate=1e-30, epochs=2)
    ((metrics, after),) = list(fit(frozen, ImageData(tiny), before))
    assert metrics["learning_rate"] == 1e-30
    assert_same_tensors(before.networks[0].model, after.networks[0].model)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_schedule_is_what_changing_the_config_after_each_of_its_epochs_would_be(tiny, optimizer):
    base = replace(SMALL, optimizer=optimizer, learning_rate=0.02)
    scheduled = replace(base, learning_rate_schedule=((2, 0.005), (4, 0.01)))
    run = history(fit(scheduled, ImageData(tiny)))
    rates = [0.02, 0.005, 0.005, 0.01]
    assert [metrics["learning_rate"] for metrics, _ in run] == rates

    by_hand, state = [], None
    for rate in rates:
        step = next(fit(replace(base, learning_rate=rate), ImageData(tiny), state))
        by_hand += history([step])
        state = by_hand[-1][1]
    assert_same_run(run, by_hand)
    # Taken up in the middle it is the same.
    assert_same_run(run[2:], history(fit(scheduled, ImageData(tiny), run[1][1])))


def test_a_constant_schedule_is_the_constant_rate(tiny):
    constant = replace(SMALL, learning_rate=1.0, learning_rate_schedule=((1, SMALL.learning_rate),))
    assert_same_run(history(fit(constant, ImageData(tiny))), history(fit(SMALL, ImageData(tiny))))


def test_resuming_leaves_the_given_state_as_it_was(tiny):
    _, state = next(fit(SMALL, ImageData(tiny)))
    given, kept = snapshot(state), snapshot(state)
    list(fit(SMALL, ImageData(tiny), given))
    assert_same_tensors(vars(given.networks[0]), vars(kept.networks[0]))


def test_a_snapshot_outlives_the_next_step(tiny):
    steps = fit(SMALL, ImageData(tiny))
    _, state = next(steps)
    copy = snapshot(state)
    next(steps)
    assert not torch.equal(copy.networks[0].model["1.weight"], state.networks[0].model["1.weight"])


def test_the_metrics_are_those_promised_and_consistent(tiny):
    run = list(fit(SMALL, ImageData(tiny)))
    for epoch, (metrics, state) in enumerate(run, start=1):
        assert set(metrics) == METRICS
        assert (metrics["epoch"], state.epoch) == (epoch, epoch)
        # 200 images in batches of 32: six and one of 8.
        assert metrics["updates"] == state.networks[0].updates == 7 * epoch
        of_steps = {"step_losses", "step_scores"}
        assert all(math.isfinite(metrics[name]) for name in METRICS - of_steps)
        assert metrics["epoch_seconds"] >= 200 / metrics["samples_per_second"]


@pytest.mark.parametrize("model", ["mlp", "cnn", "linear"])
def test_what_can_be_learned_is_learned(tiny, model):
    config = replace(SMALL, model=model, epochs=12, learning_rate=0.05, dropout=0.0)
    *_, (metrics, _) = fit(config, ImageData(tiny))
    assert metrics["val_accuracy"] > 0.9


def test_a_state_at_the_last_epoch_yields_nothing(tiny):
    config = replace(SMALL, epochs=1)
    ((_, state),) = list(fit(config, ImageData(tiny)))
    assert list(fit(config, ImageData(tiny), state)) == []


def test_with_equal_updates_every_batch_size_has_one_course_and_one_last_epoch(tiny):
    coupled = replace(
        SMALL,
        epochs_scaling="equal_updates",
        base_batch_size=50,
        schedule="cosine",
        epochs_warmup=1,
    )
    runs = {
        size: [metrics for metrics, _ in fit(replace(coupled, batch_size=size), ImageData(tiny))]
        for size in (25, 50, 100, 200)
    }
    # 200 images: 4 epochs of 4 updates.
    assert {size: len(run) for size, run in runs.items()} == {25: 2, 50: 4, 100: 8, 200: 16}
    for run in runs.values():
        assert run[-1]["epoch"] == 4
        assert run[-1]["updates"] == 16
        assert run[-1]["learning_rate"] == pytest.approx(runs[50][-1]["learning_rate"])
    assert [m["epoch"] for m in runs[25]] == [2, 4]
    assert [m["epoch"] for m in runs[200]] == [k / 4 for k in range(1, 17)]
    rates = {m["updates"]: m["learning_rate"] for m in runs[200]}
    assert all(m["learning_rate"] == pytest.approx(rates[m["updates"]]) for m in runs[25])


def test_a_run_of_coupled_passes_resumes_as_if_it_had_not_been_interrupted(tiny, tmp_path):
    config = replace(SMALL, epochs_scaling="sqrt", batch_size=100, base_batch_size=25)
    whole = history(fit(config, ImageData(tiny)))
    assert len(whole) == 8
    save_state(whole[2][1], tmp_path / "state.pt")
    rest = history(fit(config, ImageData(tiny), load_state(tmp_path / "state.pt")))
    assert_same_run(rest, whole[3:])


def test_patience_ends_a_run_by_the_score_that_is_watched(tiny):
    # A learning rate that soon gives no better class, while the loss still falls.
    config = replace(SMALL, epochs=40, patience=2, learning_rate=0.02, patience_metric="f1")
    run = [metrics for metrics, _ in fit(config, ImageData(tiny))]
    scores = [metrics["val_f1"] for metrics in run]
    best = scores.index(max(scores))
    assert len(run) == best + 3 < 40
    by_loss = list(fit(replace(config, patience_metric="loss"), ImageData(tiny)))
    assert len(by_loss) > len(run)
    # The loss that is minimised is the loss that is reported, so that both end together.
    assert len(list(fit(replace(config, patience_metric="objective"), ImageData(tiny)))) == len(
        by_loss
    )


def test_patience_by_a_score_that_the_task_does_not_have_is_refused(tiny):
    config = replace(SMALL, patience_metric="rmse")
    said = "patience_metric must be one of loss, accuracy, precision, recall, f1, objective"
    with pytest.raises(ValueError, match=f"^{said}: got 'rmse'$"):
        next(fit(config, ImageData(tiny)))
    with pytest.raises(ValueError, match=f"^{said}: got 'rmse'$"):
        ImageData(tiny).check(config)


def test_a_smaller_train_ratio_trains_on_fewer_images_and_validates_on_the_same(tiny):
    ((metrics, _),) = list(fit(replace(SMALL, epochs=1, train_ratio=0.4), ImageData(tiny)))
    assert metrics["updates"] == math.ceil(100 / 32)
    with pytest.raises(ValueError, match=r"at most 0\.8"):
        next(fit(replace(SMALL, train_ratio=0.9), ImageData(tiny)))


def test_a_state_of_another_model_or_optimizer_is_refused(tiny):
    _, state = next(fit(SMALL, ImageData(tiny)))
    with pytest.raises(ValueError, match="another model"):
        next(fit(replace(SMALL, hidden_sizes=(17,)), ImageData(tiny), state))
    with pytest.raises(ValueError, match="not from optimizer 'adam'"):
        next(fit(replace(SMALL, optimizer="adam"), ImageData(tiny), state))


def test_divergence_ends_the_epoch_within_32_updates_and_the_run():
    many = SearchData(
        name="noise",
        inputs=Images(np.random.default_rng(0).integers(0, 256, (1000, 1, 8, 8)).astype(np.uint8)),
        targets=np.arange(1000) % 4,
        class_names=("0", "1", "2", "3"),
        train_count=800,
        train_ratio=0.8,
    )
    run = list(fit(replace(SMALL, batch_size=4, learning_rate=1e30), ImageData(many)))
    ((metrics, state),) = run
    assert metrics["updates"] == 32
    assert not math.isfinite(metrics["train_loss"])
    assert all(math.isnan(metrics[name]) for name in METRICS if name.startswith("val_"))
    assert state.epoch == 1


def test_divergence_in_a_short_epoch_ends_the_run_at_its_end(tiny):
    ((metrics, _),) = list(fit(replace(SMALL, learning_rate=1e30), ImageData(tiny)))
    assert metrics["updates"] == 7
    assert math.isnan(metrics["val_loss"])


def held_out(data):
    return data.validation.inputs.pixels, data.validation.targets


@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_evaluating_the_validation_images_again_gives_the_same_figures(tiny, model):
    config = replace(SMALL, model=model)
    *_, (metrics, state) = fit(config, ImageData(tiny))
    scores = evaluate_part(config, state, ImageData(tiny), tiny.validation)
    assert scores == {
        name.removeprefix("val_"): value
        for name, value in metrics.items()
        if name.startswith("val_")
    }


@pytest.mark.slow
def test_read_only_arrays_train_without_a_word():
    # In a process of its own: PyTorch warns only once.
    code = (
        "import numpy as np, warnings; warnings.simplefilter('error')\n"
        "from trainables.data.dataset import Part\n"
        "from trainables.data.splits import split\n"
        "from trainables.image.images import Images\n"
        "from trainables.image.config import ImageConfig\n"
        "from trainables.image.task import ImageData\n"
        "from trainables.training.loop import fit\n"
        "whole = Part(Images(np.zeros((40, 1, 8, 8), np.uint8)), np.arange(40) % 2)\n"
        "d = split('x', whole, class_names=('a', 'b'), seed=0, train_ratio=0.8)\n"
        "for a in (d.inputs.pixels, d.targets): a.flags.writeable = False\n"
        "for model in ('mlp', 'cnn'): list(fit(ImageConfig(model=model, epochs=1), ImageData(d)))\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_training_needs_neither_ray_nor_torchvision():
    code = (
        "import sys; import trainables.training.loop, trainables.training.loop\n"
        "import trainables.image.task, trainables.image.datasets\n"
        "assert not {'ray', 'torchvision', 'sklearn'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
