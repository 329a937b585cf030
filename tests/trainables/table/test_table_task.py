"""Training on tables: every network, both kinds of targets, checkpoints and what is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.trainables.table.made_up import mixed, table
from trainables.data.dataset import Part
from trainables.table.config import TableConfig
from trainables.table.models import GATE_START, Features, embedding_size
from trainables.table.table_network import TableNetwork
from trainables.table.task import TableData
from trainables.training.evaluation import evaluate_part
from trainables.training.loop import fit
from trainables.training.state import load_state, save_state, snapshot

KINDS = {"classes": "cross_entropy", "numbers": "squared_error"}


def config(kind="classes", **rest):
    usual = {"epochs": 3, "optimizer": "adamw", "hidden_sizes": (32,), "width": 16, "patience": 0}
    return TableConfig(**{**usual, "loss": KINDS[kind], **rest})


def trained(config, data, state=None):
    return [(metrics, snapshot(s)) for metrics, s in fit(config, TableData(data), state)]


CASES = [
    *({"model": model} for model in ("mlp", "resnet", "linear")),
    *({"imputation": name} for name in ("median", "most_frequent", "flag")),
    *({"feature_selection": name} for name in ("variance", "mutual_information", "gate")),
    {"norm": "batch", "ema_decay": 0.9, "folds": 3},
    {"norm": "layer", "precision": "bfloat16"},
    {"accumulation_steps": 4, "feature_selection": "gate"},
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("given", CASES, ids=str)
def test_a_resumed_run_equals_the_uninterrupted_one_bit_for_bit(tmp_path, kind, given):
    data, chosen = mixed(kind), config(kind, **given)
    whole = trained(chosen, data)
    save_state(whole[0][1], tmp_path / "state.pt")
    rest = trained(chosen, data, load_state(tmp_path / "state.pt"))
    assert len(rest) == 2
    for (metrics, state), (expected, same) in zip(rest, whole[1:], strict=True):
        assert metrics["val_loss"] == expected["val_loss"]
        for network, other in zip(state.networks, same.networks, strict=True):
            assert all(torch.equal(network.model[n], other.model[n]) for n in other.model)
    assert np.isfinite(whole[-1][0]["val_loss"])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("model", ["mlp", "resnet", "linear"])
def test_a_network_learns_what_can_be_learned(kind, model):
    chosen = config(kind, model=model, epochs=25, learning_rate=0.01, batch_size=32)
    metrics, _ = trained(chosen, mixed(kind, rows=600))[-1]
    if kind == "classes":
        assert metrics["val_accuracy"] > 0.8
    else:
        assert metrics["val_r2"] > 0.8
        assert metrics["val_rmse"] < 50


def test_the_scores_of_the_validation_rows_are_those_of_the_state(tmp_path):
    data, chosen = mixed("numbers"), config("numbers")
    metrics, state = trained(chosen, data)[-1]
    again = evaluate_part(chosen, state, TableData(data), data.validation)
    assert again["rmse"] == pytest.approx(metrics["val_rmse"], rel=1e-5)


def test_a_category_that_is_new_in_validation_is_the_same_as_any_other_new_one():
    data = mixed("classes")
    codes = data.inputs.codes.copy()
    codes[codes == 2] = 0
    data = replace(data, inputs=replace(data.inputs, codes=codes))
    (task,) = TableData(data).tasks(config())
    rows = [[0.0, 1.0, 2.0, 3.0]]
    new = task.held_out(Part(table(rows, [[2]], (3,)), np.array([0])))
    task.model.eval()
    embedding = task.features.embeddings[0]
    index = new.inputs[:, -1].long()
    assert embedding(index).abs().sum() == 0
    assert task.outputs(new.inputs).isfinite().all()


def test_the_gates_close_for_what_says_nothing():
    chosen = config(
        "numbers",
        feature_selection="gate",
        gate_penalty=0.5,
        epochs=60,
        learning_rate=0.02,
        batch_size=32,
    )
    data = mixed("numbers", rows=600)
    *_, (_, state) = trained(chosen, data)
    position = state.networks[0].model["0.position"]
    # The target is of the first two numbers and the category.
    assert position[[0, 1]].min() > GATE_START
    assert position[[2, 3]].max() < position[[0, 1]].min()
    assert position[[2, 3]].max() <= 0.2


def test_gates_are_noisy_in_training_alone():
    features = Features((), torch.ones(3), gated=True)
    rows = torch.ones(50, 3)
    torch.manual_seed(0)
    assert features(rows).std() > 0
    features.eval()
    assert torch.equal(features(rows), torch.full((50, 3), GATE_START))


def test_features_that_are_left_out_have_no_influence():
    data = mixed("classes")
    (task,) = TableData(data).tasks(config(feature_selection="variance", feature_share=0.5))
    left_out = torch.nonzero(task.features.mask == 0).flatten().tolist()
    assert left_out
    task.model.eval()
    rows = task.validation.inputs.clone()
    before = task.outputs(rows)
    for column in left_out:
        rows[:, column] = 1 if column >= task.features.numbers else rows[:, column] + 100
    assert torch.equal(task.outputs(rows), before)


def test_the_features_that_were_chosen_are_in_the_checkpoint(tmp_path):
    data = mixed("classes")
    network = TableNetwork.__new__(TableNetwork)
    network.data, network.settings = data, config(feature_selection="mutual_information", folds=2)
    _, network.state = trained(network.settings, data)[-1]
    network.save_checkpoint(str(tmp_path))
    for state, names in zip(
        load_state(tmp_path / "state.pt").networks,
        json.loads((tmp_path / "features.json").read_text()),
        strict=True,
    ):
        assert [*names] == ["x0", "x1", "x2", "x3", "c0"]
        assert [*names.values()] == state.model["0.mask"].tolist()
        assert names["x0"] == 1, "it decides about the target"


def test_without_a_selection_a_checkpoint_has_no_features(tmp_path):
    network = TableNetwork.__new__(TableNetwork)
    network.data, network.settings = mixed("classes"), config()
    _, network.state = trained(network.settings, network.data)[-1]
    network.save_checkpoint(str(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == {"answers.json", "state.pt"}


def test_pretrained_weights_are_checked_against_the_table(tmp_path):
    data = mixed("classes")
    _, state = trained(config(), data)[-1]
    save_state(state, tmp_path / "state.pt")
    weights = str(tmp_path / "state.pt")
    TableNetwork.check_config({"pretrained": weights, "hidden_sizes": (32,)}, data)
    with pytest.raises(ValueError, match="weights of another network"):
        TableNetwork.check_config({"pretrained": weights, "hidden_sizes": (16,)}, data)
    frozen = config(pretrained=weights, freeze_epochs=1)
    assert np.isfinite(trained(frozen, data)[-1][0]["val_loss"])


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ({"loss": "squared_error"}, "does not suit the targets of mixed, which are 3 classes"),
        ({"model": "cnn"}, "model must be one of mlp, resnet, linear"),
        ({"imputation": "zero"}, "imputation must be one of mean, median"),
        ({"feature_share": 0.0}, "feature_share must be above 0"),
        ({"feature_share": 1.5}, "feature_share must be at most 1"),
        ({"min_std": 0.0}, "min_std must be above 0"),
        ({"norm": "batch", "batch_size": 1}, "norm 'batch' needs 2 samples"),
        ({"train_ratio": 0.9}, "train_ratio must be at most 0.8"),
        ({"norm": "batch", "train_ratio": 0.005}, "leaves one sample of mixed"),
        ({"width_factors": 2}, "did you mean width_factor"),
    ],
)
def test_a_config_that_cannot_run_is_refused_with_value_and_rule(given, rule):
    with pytest.raises(ValueError, match=rule):
        TableNetwork.check_config(given, mixed("classes"))


def test_the_size_of_an_embedding_grows_with_the_categories():
    sizes = [embedding_size(count) for count in (1, 2, 10, 100, 10**6)]
    assert sizes == sorted(sizes)
    assert (sizes[0], sizes[-1]) == (2, 600)
    assert embedding_size(10) == 6, "fastai's own documentation has 6 for 10"


@pytest.mark.parametrize("model", ["mlp", "resnet"])
def test_an_epoch_is_measured(tmp_path, model):
    found = TableNetwork.measure({"model": model}, str(tmp_path), data=mixed("classes"))
    assert found["epoch_seconds"] > 0
    assert (tmp_path / "state.pt").exists()
