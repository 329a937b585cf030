"""An export of each task predicts, without this project, what its checkpoint predicts."""

import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.trainables.test_task_contract import MEMBERS, config_of, data_of, each_task
from trainables.data.dataset import Dataset
from trainables.export import export_network, imported, sources_of, task_of
from trainables.prediction.answers import write_answers
from trainables.tasks import TASKS
from trainables.trainable import data_of as data_of_trial
from trainables.training.loop import fit
from trainables.training.state import save_state

FRESH = Path(__file__).with_name("fresh_process.py")
MODEL = {"study": "made_up", "trial": 3, "epoch": 1, "metric": "val_loss", "value": 0.5}


def checkpoint_of(task, folder, targets="classes", **changes):
    """Train an epoch; write its checkpoint as a trial does. Return what it predicts for the
    validation samples of the classes, given as test samples."""
    kind, data = TASKS[task], data_of(task, targets)
    config = config_of(task, targets, epochs=1, **changes)
    *_, (_, state) = fit(config, kind.data_type(data_of_trial(config, data)))
    folder.mkdir()
    save_state(state, folder / "state.pt")
    write_answers(folder, kind.answers(config, data))
    # The split of numbers has other samples.
    test = replace(data.validation, inputs=data_of(task).validation.inputs)
    dataset = Dataset(name="own", search=data, test=test, notice="", source="", fingerprint="")
    return kind.predict(asdict(config), str(folder), dataset, "test")["predicted"]


def exported(checkpoint, target):
    target.mkdir()
    export_network(checkpoint, target, MODEL)
    return target


def in_fresh_process(task, folder, exports):
    """Return the lines of the first export, and what each predicts for the validation samples."""
    (folder / "files").mkdir()
    files = MEMBERS[task].written(folder / "files", data_of(task).validation.inputs)
    answers = folder / f"{task}.npz"
    words = [str(answers), ",".join(map(str, exports)), *map(str, files)]
    done = subprocess.run(
        [sys.executable, str(FRESH), *words],
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    with np.load(answers) as found:
        return [*map(json.loads, done.stdout.splitlines())], [*map(found.get, found.files)]


@each_task
@pytest.mark.slow
def test_it_predicts_in_a_fresh_process_what_its_checkpoint_predicts(task, tmp_path):
    cases = [
        *(("classes", change) for change in MEMBERS[task].networks),
        ("classes", {"folds": 3}),
        ("classes", {"split_seed": 3}),
        ("numbers", {}),
        ("numbers", {"folds": 2, "loss": "huber"}),
    ]
    wanted, exports = [], []
    for number, (targets, change) in enumerate(cases):
        checkpoint = tmp_path / f"checkpoint_{number}"
        wanted.append(checkpoint_of(task, checkpoint, targets, **change))
        assert task_of(checkpoint) == task
        exports.append(exported(checkpoint, tmp_path / f"export_{number}"))
    lines, found = in_fresh_process(task, tmp_path, exports)
    for case, predicted, same in zip(cases, found, wanted, strict=True):
        np.testing.assert_allclose(predicted, same, rtol=1e-5, atol=1e-6, err_msg=str(case))
    names = data_of(task).class_names
    assert [line["class"] for line in lines] == [names[at] for at in wanted[0].argmax(axis=1)]
    told = [[line["probabilities"][name] for name in names] for line in lines]
    np.testing.assert_allclose(told, found[0])


@each_task
def test_its_files_tell_what_it_is(task, tmp_path):
    checkpoint_of(task, tmp_path / "checkpoint", folds=2)
    folder = exported(tmp_path / "checkpoint", tmp_path / "export")
    about = json.loads((folder / "config.json").read_text())
    assert about["model"] == MODEL
    assert tuple(about["class_names"]) == data_of(task).class_names
    config = config_of(task, epochs=1, folds=2)
    assert TASKS[task].config_type.from_dict(about["config"]) == config
    assert about["weights"] == ["weights_0.pt", "weights_1.pt"]
    for name in about["weights"]:
        assert torch.load(folder / name, weights_only=True)
    readme = (folder / "README.md").read_text()
    assert "trial 3" in readme
    assert "python predict.py" in readme


@each_task
def test_its_sources_import_nothing_but_what_reads_samples_and_runs_networks(task):
    assert TASKS[task].task == task
    found = {
        name.partition(".")[0]
        for source in sources_of(f"trainables.{task}.predict").values()
        for name in imported(source)
    }
    allowed = {"trainables", "torch", "numpy", "pandas", "PIL", "tokenizers", "ftfy"}
    assert found <= allowed | set(sys.stdlib_module_names)


@each_task
def test_a_damaged_checkpoint_is_one_line(task, tmp_path):
    folder = tmp_path / "checkpoint"
    checkpoint_of(task, folder)
    state = (folder / "state.pt").read_bytes()
    for content in (b"", state[: len(state) // 2], b"no state"):
        (folder / "state.pt").write_bytes(content)
        with pytest.raises(ValueError, match=r"state\.pt: cannot be read \([^\n]*$"):
            export_network(folder, tmp_path, MODEL)
    for content in ("", "[]", '{"task": "../image"}', '{"task": "image"}'):
        (folder / "answers.json").write_text(content)
        with pytest.raises(ValueError, match=r"answers\.json: "):
            task_of(folder)
    # Of a first version, or of a person's own.
    (folder / "answers.json").write_text('{"class_names": ["a", "b"]}')
    assert task_of(folder) is None
    (folder / "answers.json").unlink()
    assert task_of(folder) is None


def refused(predict, *samples, folder):
    with pytest.raises(ValueError, match=r"^[^\n]+$") as said:
        predict(*samples, folder)
    return str(said.value)


def test_samples_of_another_kind_are_one_line(tmp_path):
    from trainables.image.predict import predict as of_images
    from trainables.table.predict import predict as of_table
    from trainables.text.predict import predict as of_texts
    from trainables.text.predict import texts_in

    exports = {}
    for task in TASKS:
        checkpoint_of(task, tmp_path / task)
        exports[task] = exported(tmp_path / task, tmp_path / f"export_{task}")
    (tmp_path / "a.png").write_text("no image")
    image = {"folder": exports["image"]}
    assert "a.png: cannot be read as an image" in refused(of_images, [tmp_path / "a.png"], **image)
    larger = np.zeros((2, 9, 9), np.uint8)
    assert "[1, 9, 9]" in refused(of_images, larger, **image)
    assert "got []" in refused(of_images, np.array(3), **image)
    (tmp_path / "a.csv").write_text("x0,x1,x2\n1,2,3\n")
    table = {"folder": exports["table"]}
    assert "no column x3, c0; it has x0, x1, x2" in refused(of_table, tmp_path / "a.csv", **table)
    (tmp_path / "a.csv").write_text("x0,x1,x2,x3,c0\n1,2,3,4,0\n1,2,3,four,0\n")
    assert "row 2, column x3: 'four' is no number" in refused(of_table, tmp_path / "a.csv", **table)
    assert "give a list of texts" in refused(of_texts, "a text", folder=exports["text"])
    (tmp_path / "a.csv").write_text("words,stars\nfine,3\n")
    with pytest.raises(ValueError, match="it has words, stars: give --column"):
        texts_in(str(tmp_path / "a.csv"), None)
    assert texts_in(str(tmp_path / "a.csv"), "words") == ["fine"]
