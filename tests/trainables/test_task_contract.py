"""What every task keeps: its config, its data, an epoch, a checkpoint, a resume, an evaluation, and
an answer to bad input."""

import json
import math
import pickle
import subprocess
import sys
from dataclasses import asdict, replace

import numpy as np
import pytest
from ray.tune.trainable import trainable as ray_trainable

from tests.conftest import ROOT
from tests.trainables.image.member import IMAGE
from tests.trainables.table.member import TABLE
from tests.trainables.task_member import FAULTS
from tests.trainables.text.member import TEXT
from trainables.data.dataset import Dataset, fingerprint
from trainables.data.splits import prepared, split_again, with_test_set
from trainables.tasks import TASKS
from trainables.training.loop import fit
from trainables.training.state import load_state, save_state, snapshot
from trainables.training.timing import time_epoch

MEMBERS = {
    "image": IMAGE,
    "table": TABLE,
    "text": TEXT,
}
CLOCK = ("epoch_seconds", "samples_per_second", "step_scores", "done")
LOSSES = {"classes": "cross_entropy", "numbers": "squared_error"}
TARGETS = tuple(LOSSES)

each_task = pytest.mark.parametrize("task", TASKS)


def timeless(metrics):
    return {name: value for name, value in metrics.items() if name not in CLOCK}


def data_of(task, targets="classes"):
    member = MEMBERS[task]
    return member.classes() if targets == "classes" else member.numbers()


def config_of(task, targets="classes", **changes):
    config = {**MEMBERS[task].config, "loss": LOSSES[targets], "epochs": 3, **changes}
    return TASKS[task].config_type.from_dict(config)


def run(task, config, data, state=None):
    return [
        (timeless(metrics), snapshot(after))
        for metrics, after in fit(config, TASKS[task].data_type(data), state)
    ]


def test_every_task_is_a_member():
    assert MEMBERS.keys() == TASKS.keys()


@each_task
def test_its_config_is_plain_json_and_refuses_what_it_does_not_know(task):
    kind = TASKS[task].config_type
    config = config_of(task)
    stored = json.loads(json.dumps(asdict(config)))
    assert kind.from_dict(stored) == config
    with pytest.raises(ValueError, match="unknown hyperparameter 'epoch_'"):
        kind.from_dict({"epoch_": 1})
    for name, value in (("learning_rate", math.nan), ("batch_size", 0), ("model", "oracle")):
        with pytest.raises(ValueError, match=f"^{name} must [^\n]*, got [^\n]*$"):
            kind.from_dict({name: value})


@each_task
def test_its_samples_are_compact_arrays_that_trials_share(task):
    data = data_of(task)
    buffers = []
    inside = pickle.dumps(data, protocol=5, buffer_callback=buffers.append)
    # Ray's object store maps what is out of band without a copy.
    assert len(inside) < 4096
    assert buffers
    some = data.inputs[10:20]
    assert len(some) == 10
    mapped = [array for array in some.arrays() if array.nbytes > 1000]
    assert all(
        any(np.shares_memory(part, whole) for whole in data.inputs.arrays()) for part in mapped
    )
    rows = np.array([3, 1, 2, 1])
    chosen = [data.inputs[rows].arrays(), data.inputs[np.array([3])].arrays()]
    assert len(data.inputs[rows]) == 4
    for found, first in zip(*chosen, strict=True):
        assert np.array_equal(found[: len(first)], first)


@each_task
def test_equal_data_have_one_fingerprint_and_other_data_have_another(task):
    data = data_of(task)
    one = fingerprint(data, data.validation)
    assert one == fingerprint(data_of(task), data.validation)
    turned = replace(data, inputs=data.inputs[np.arange(len(data.targets))[::-1].copy()])
    assert one != fingerprint(turned, data.validation)


@each_task
@pytest.mark.parametrize("targets", TARGETS)
def test_it_learns_and_reports_the_scores_of_its_prediction(task, targets):
    epochs = [metrics for metrics, _ in run(task, config_of(task, targets), data_of(task, targets))]
    assert [metrics["epoch"] for metrics in epochs] == [1, 2, 3]
    assert epochs[-1]["train_loss"] < epochs[0]["train_loss"]
    assert all(math.isfinite(epochs[-1][name]) for name in epochs[-1] if name.startswith("val_"))
    wanted = {"classes": {"val_accuracy", "val_f1"}, "numbers": {"val_rmse", "val_r2"}}
    assert wanted[targets] <= epochs[-1].keys()


@each_task
@pytest.mark.parametrize(
    ("targets", "change"),
    [
        ("classes", {}),
        ("classes", {"folds": 2, "patience": 0}),
        ("classes", {"accumulation_steps": 2, "ema_decay": 0.9, "schedule": "cosine"}),
        ("numbers", {"optimizer": "adam", "weight_decay": 0.01}),
    ],
)
def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(task, targets, change, tmp_path):
    config, data = config_of(task, targets, **change), data_of(task, targets)
    whole = run(task, config, data)
    save_state(whole[0][1], tmp_path / "state.pt")
    resumed = run(task, config, data, load_state(tmp_path / "state.pt"))
    assert [metrics for metrics, _ in resumed] == [metrics for metrics, _ in whole[1:]]
    for network, same in zip(resumed[-1][1].networks, whole[-1][1].networks, strict=True):
        assert network.model.keys() == same.model.keys()
        assert all(network.model[name].equal(same.model[name]) for name in same.model)


@each_task
def test_it_trains_on_arrays_that_must_not_be_written_to(task):
    data = data_of(task)
    for array in (*data.inputs.arrays(), data.targets):
        array.flags.writeable = False
    assert run(task, config_of(task), data)


@pytest.fixture
def trial_of(tmp_path, monkeypatch):
    """Start a trial of a task as Tune does, without a cluster."""
    # Outside a study, Tune puts each trainable's folder under the home directory.
    monkeypatch.setattr(ray_trainable, "DEFAULT_STORAGE_PATH", str(tmp_path / "logs"))

    def start(task, data, config):
        trainable = TASKS[task]

        class WithData(trainable):  # type: ignore[valid-type, misc]
            def setup(self, config):
                super().setup(config, data=data)

        return WithData(asdict(config))

    return start


@each_task
@pytest.mark.parametrize("targets", TARGETS)
@pytest.mark.parametrize("folds", [0, 2])
def test_a_checkpoint_has_the_scores_of_its_trial(task, targets, folds, trial_of, tmp_path):
    data, config = data_of(task, targets), config_of(task, targets, folds=folds)
    trial = trial_of(task, data, config)
    result = trial.step()
    trial.save_checkpoint(str(tmp_path))
    # The validation samples in the place of test samples: the figures must be those of the trial.
    dataset = Dataset(
        name=data.name,
        search=data,
        test=data.validation,
        notice="",
        source="here",
        fingerprint="",
    )
    scores = TASKS[task].evaluate(asdict(config), str(tmp_path), dataset)
    if folds:
        # An ensemble, on samples that most of its networks have been trained on.
        assert all(map(math.isfinite, scores.values()))
    else:
        names = ("val_objective", *(n for n in result if not n.startswith("val_")))
        shared = {n.replace("val_", "test_"): v for n, v in result.items() if n not in names}
        assert scores == {name: pytest.approx(value) for name, value in shared.items()}


@each_task
def test_a_reused_process_gives_the_same_trial_as_a_new_one(task, trial_of):
    data = data_of(task)
    reused = trial_of(task, data, config_of(task, seed=1))
    reused.step()
    assert reused.reset(asdict(config_of(task, seed=2))) is True
    fresh = trial_of(task, data, config_of(task, seed=2))
    assert [timeless(reused.step()) for _ in range(3)] == [timeless(fresh.step()) for _ in range(3)]


@each_task
def test_its_epochs_are_timed(task):
    timing = time_epoch(config_of(task), TASKS[task].data_type(data_of(task)), seconds=0.02)
    assert timing.epoch_seconds > timing.step_seconds > 0


@each_task
def test_a_loss_that_does_not_suit_the_targets_is_refused_before_a_trial(task):
    for targets, other in (TARGETS, TARGETS[::-1]):
        with pytest.raises(ValueError, match="does not suit the targets"):
            TASKS[task].check_config(asdict(config_of(task, other)), data_of(task, targets))
        TASKS[task].check_config(asdict(config_of(task, targets)), data_of(task, targets))
    with pytest.raises(ValueError, match="train_ratio must be at most"):
        TASKS[task].check_config(asdict(config_of(task, train_ratio=0.99)), data_of(task))


@each_task
def test_data_of_ones_own_are_read_and_split(task, tmp_path):
    dataset = MEMBERS[task].load(MEMBERS[task].own(tmp_path))
    assert len(dataset.search.class_names) >= 2
    parts = (dataset.search.train, dataset.search.validation, dataset.test)
    assert all(len(part.inputs) == len(part.targets) > 0 for part in parts)


@each_task
def test_without_test_samples_a_fifth_is_set_aside(task):
    data = data_of(task)
    raw = with_test_set(data.train, class_names=data.class_names, source="here")
    dataset = prepared("made up", raw, seed=0, train_ratio=0.8)
    assert len(dataset.test.targets) == round(0.2 * data.train_count)


@each_task
def test_every_fault_is_met(task):
    assert MEMBERS[task].bad.keys() >= set(FAULTS)


@pytest.mark.parametrize(
    ("task", "fault"), [(task, fault) for task in MEMBERS for fault in MEMBERS[task].bad]
)
def test_bad_data_are_refused_in_a_line_with_file_row_and_rule(task, fault, tmp_path):
    write, pattern = MEMBERS[task].bad[fault]
    path = write(tmp_path)
    with pytest.raises(ValueError, match=pattern) as refused:
        MEMBERS[task].load(path)
    said = str(refused.value)
    assert str(tmp_path) in said
    assert len(said.splitlines()) == 1


@each_task
@pytest.mark.slow
def test_a_job_on_bad_data_ends_with_2_before_anything_is_scheduled(task, tmp_path):
    write, _ = MEMBERS[task].bad["one class"]
    job = ROOT / "tune_jobs" / MEMBERS[task].job
    done = subprocess.run(
        [sys.executable, str(job), "--dataset", str(write(tmp_path)), "--name", "bad"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stdout + done.stderr
    (line,) = (done.stdout + done.stderr).splitlines()
    assert line.startswith("error: ")
    assert not (tmp_path / "results" / "bad").exists()


@each_task
def test_its_data_can_be_looked_at(task, tmp_path):
    (tmp_path / "own").mkdir()
    member = MEMBERS[task]
    dataset = member.load(member.own(tmp_path / "own"))
    kind = TASKS[task]
    look = kind.look(dataset)
    assert "Duplicates" in [section.title for section in look.sections]
    assert all(len(row) == len(one.heads) for one in look.sections for row in one.rows)
    assert dataset.fingerprint in look.page
    assert callable(kind.reader())


@each_task
@pytest.mark.parametrize("targets", TARGETS)
def test_its_checkpoints_predict_what_was_held_out_and_are_averaged(task, targets, tmp_path):
    data = data_of(task, targets)
    config = config_of(task, targets, folds=2, epochs=1)
    *_, (_, state) = fit(config, TASKS[task].data_type(data))
    save_state(state, tmp_path / "state.pt")
    dataset = Dataset(
        name="own", search=data, test=data.validation, notice="", source="", fingerprint=""
    )
    (tmp_path / "mean").mkdir()
    kind, plain, folder = TASKS[task], asdict(config), str(tmp_path)
    kind.average([plain] * 2, [folder] * 2, dataset, str(tmp_path / "mean"))
    for part, count in (("validation", len(data.targets)), ("test", len(data.validation.targets))):
        found, soup = (
            kind.predict(plain, at, dataset, part) for at in (folder, str(tmp_path / "mean"))
        )
        assert len(found["rows"]) == len(found["predicted"]) == count
        assert found["predicted"].ndim == (2 if targets == "classes" else 1)
        # Statistics of batch norm are those of another pass over the samples.
        np.testing.assert_allclose(found["predicted"], soup["predicted"], rtol=0.5, atol=0.2)


@each_task
def test_a_trial_with_a_split_of_its_own_is_scored_on_that_and_names_rows_as_all(
    task, trial_of, tmp_path
):
    data, rows = data_of(task), {}
    for seed in (None, 3, 4):
        config = config_of(task, epochs=1, split_seed=seed)
        trial, folder = trial_of(task, data, config), tmp_path / str(seed)
        result = trial.step()
        folder.mkdir()
        trial.save_checkpoint(str(folder))
        held_out = (data if seed is None else split_again(data, seed)).validation
        dataset = Dataset(
            name="own", search=data, test=held_out, notice="", source="", fingerprint=""
        )
        scores = TASKS[task].evaluate(asdict(config), str(folder), dataset)
        assert scores["test_loss"] == pytest.approx(result["val_loss"], rel=1e-5)
        found = TASKS[task].predict(asdict(config), str(folder), dataset, "validation")
        assert np.array_equal(found["targets"], data.targets[found["rows"]])
        rows[seed] = frozenset(found["rows"].tolist())
    assert rows[None] == set(range(data.train_count, len(data.targets)))
    assert len({*rows.values()}) == 3
    assert len({*map(len, rows.values())}) == 1
