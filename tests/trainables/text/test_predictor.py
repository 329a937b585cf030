"""A checkpoint predicts by itself what its trial was scored for."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from tests.trainables.text.made_up import made_up
from trainables.data.dataset import Dataset
from trainables.prediction.answers import write_answers
from trainables.text.config import TextConfig
from trainables.text.predictor import TextPredictor
from trainables.text.task import TextData
from trainables.text.text_classifier import TextClassifier
from trainables.training.loop import fit
from trainables.training.state import save_state

SMALL = {"embedding_size": 16, "hidden_size": 8, "batch_size": 16, "optimizer": "adam", "epochs": 2}


def best_of(folder, data, **changes):
    """Train, and write the `best` folder of a study."""
    config = TextConfig.from_dict({**SMALL, **changes})
    *_, (_, state) = fit(config, TextData(data))
    save_state(state, folder / "state.pt")
    write_answers(folder, TextClassifier.answers(config, data))
    (folder / "best.json").write_text(json.dumps({"config": asdict(config)}))
    dataset = Dataset(
        name="made up", search=data, test=data.validation, notice="", source="", fingerprint=""
    )
    return TextClassifier.evaluate(asdict(config), str(folder), dataset)


@pytest.mark.parametrize(
    "change", [{}, {"folds": 2, "ema_decay": 0.5}, {"tokenizer": "byte_pairs"}]
)
def test_it_predicts_classes(tmp_path, change):
    pytest.importorskip("tokenizers")
    data = made_up()
    scores = best_of(tmp_path, data, **change)
    predict = TextPredictor(tmp_path)
    assert predict.class_names == ("bad", "good", "odd")
    found = predict(data.validation.inputs.strings())
    assert np.allclose(found.sum(axis=1), 1)
    right = found.argmax(axis=1) == data.validation.targets
    assert right.mean() == pytest.approx(scores["test_accuracy"])
    losses = -np.log(found[np.arange(len(found)), data.validation.targets])
    assert losses.mean() == pytest.approx(scores["test_loss"], rel=1e-4)
    assert predict(["", "unheard of"]).shape == (2, 3)


@pytest.mark.parametrize("loss", ["squared_error", "huber"])
def test_it_predicts_numbers_in_their_unit(tmp_path, loss):
    data = made_up("numbers")
    scores = best_of(tmp_path, data, loss=loss, folds=2)
    found = TextPredictor(tmp_path)(data.validation.inputs.strings())
    rmse = np.sqrt(np.mean((found - data.validation.targets) ** 2))
    assert rmse == pytest.approx(scores["test_rmse"], rel=1e-5)


def test_another_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="give a study's best folder"):
        TextPredictor(tmp_path)
