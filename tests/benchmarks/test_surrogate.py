import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from surrogate import EPOCHS, FILES, NOISE, POINTS, SPACE, Surrogate


class Session:
    """A model whose accuracy is a sum of the task's code, the epoch and some hyperparameters."""

    def __init__(self, path, **options):
        assert options["sess_options"].intra_op_num_threads == 1
        self.calls = 0

    def get_inputs(self):
        return [SimpleNamespace(name="categories"), SimpleNamespace(name="numbers")]

    def run(self, outputs, inputs):
        self.calls += 1
        codes, rows = inputs["categories"], inputs["numbers"]
        assert (codes.dtype, rows.dtype) == (np.int32, np.float32)
        assert rows.shape == (len(codes), 1 + len(SPACE.parameters))
        found = np.zeros((len(rows), 6), np.float32)
        # Epoch, momentum and layers.
        found[:, 1] = 1000 * codes[:, 0] + rows[:, 0] + 100 * rows[:, 3] + 10 * rows[:, 5]
        return [found]


@pytest.fixture
def surrogate(tmp_path, monkeypatch):
    runtime = SimpleNamespace(InferenceSession=Session, SessionOptions=SimpleNamespace)
    monkeypatch.setitem(sys.modules, "onnxruntime", runtime)
    model, codes, space = (tmp_path / name for name in FILES)
    model.touch()
    codes.write_text(json.dumps({"OpenML_task_id": {"#na#": 0, "7593": 1, "34539": 2}}))
    tasks = {"name": "OpenML_task_id", "choices": ["34539", "7593"]}
    space.write_text(json.dumps({"hyperparameters": [{"name": "epoch"}, tasks]}))
    return Surrogate(tmp_path)


def test_tasks_are_in_the_order_of_their_numbers(surrogate):
    assert surrogate.tasks == ["7593", "34539"]


def test_a_curve_has_the_accuracy_of_every_epoch(surrogate):
    config = {**SPACE.complete({}), "momentum": 0.5, "num_layers": 2}
    expected = [2000 + epoch + 50 + 20 for epoch in range(1, EPOCHS + 1)]
    assert surrogate.curve("34539", config) == expected
    assert surrogate.curve("7593", config) == [value - 1000 for value in expected]


def test_a_curve_is_computed_once(surrogate):
    config = SPACE.complete({})
    curve = surrogate.curve("7593", config)
    assert surrogate.curve("7593", dict(config)) is curve
    assert surrogate._session.calls == 1


def test_the_scale_has_the_best_of_any_epoch_and_the_median_at_the_end_of_random_points(surrogate):
    scale = surrogate.scale("7593")
    assert 1000 + EPOCHS + 148 < scale.best < 1000 + EPOCHS + 149
    assert scale.median == pytest.approx(1000 + EPOCHS + 54.5 + 30, abs=3)
    assert surrogate.scale("7593") == scale
    assert scale.regret(scale.best) == 0
    assert scale.regret(scale.median) == 1


def test_a_noisy_trial_has_its_noiseless_values_too(surrogate):
    config = SPACE.complete({})
    told = surrogate.noisy_trial("7593", config, np.random.default_rng(0))
    true = surrogate.trial("7593", config)
    assert told.noiseless == true.values
    noise = np.array(told.values) - true.values
    assert 0.7 * NOISE < noise.std() < 1.3 * NOISE


def test_a_model_of_many_points_is_called_in_parts(surrogate):
    surrogate.scale("7593")
    assert 1 < surrogate._session.calls < POINTS


def test_a_folder_without_the_data_is_refused_with_the_missing_files(tmp_path):
    (tmp_path / "encoding.json").write_text("{}")
    with pytest.raises(ValueError, match=r"no model.onnx, config_space.json; give the folder"):
        Surrogate(tmp_path)


def test_the_defaults_lie_in_the_space():
    assert SPACE.complete({})["learning_rate"] == 0.01
