"""The best model of a study is exported; the study is only read."""

import io
import json
import runpy
import shutil
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reports.written import write_study
from tests.trainables.test_export import checkpoint_of
from tune_cluster import cli
from tune_cluster.reports.export_study import chosen
from tune_cluster.storage.checkpoints import TrialCheckpoints, dirname_of
from tune_cluster.storage.s3 import S3Store
from tune_cluster.storage.store import LocalStore
from tune_cluster.trial.script_trial import save


def model_of(seed):
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))


def saved_as_a_script_does(seed):
    model = model_of(seed)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    return partial(save, 1, {"model": model, "optimizer": optimizer, "scheduler": scheduler})


def put(store, trial, epoch, value, files):
    """Write a checkpoint, by a function or as a copy of a folder."""
    if not callable(files):
        files = partial(shutil.copytree, files, dirs_exist_ok=True)
    checkpoints = TrialCheckpoints(store / "trials" / dirname_of(trial), "max")
    checkpoints.write(epoch, value, {"score": value}, files)


@pytest.fixture
def study(tmp_path):
    """A study without `best/`, whose best trial, 0, and another one have a checkpoint."""
    folder = tmp_path / "results" / "first"
    (folder / "trials").mkdir(parents=True)
    write_study(folder)
    put(LocalStore(folder), 0, 2, 0.5, saved_as_a_script_does(0))
    put(LocalStore(folder), 6, 1, 0.4, saved_as_a_script_does(6))
    return folder


def export(monkeypatch, *words):
    """Return exit code, output and errors of `tune-cluster export`."""
    out, errors, code = io.StringIO(), io.StringIO(), 0
    monkeypatch.setattr(sys, "argv", ["tune-cluster", "export", *map(str, words)])
    with redirect_stdout(out), redirect_stderr(errors):
        try:
            cli.main()
        except SystemExit as ended:
            code = ended.code
    return code, out.getvalue(), errors.getvalue()


def content_of(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def run(script):
    return subprocess.run([sys.executable, "-I", script], capture_output=True, text=True)


def test_the_weights_of_a_script_are_exported_and_its_model_is_asked_for(
    study, tmp_path, monkeypatch
):
    before = content_of(study)
    monkeypatch.chdir(tmp_path)
    code, out, _ = export(monkeypatch, "results/first/")
    assert code == 0
    assert "trial 0 after epoch 2, score 0.5" in out
    assert content_of(study) == before
    folder = tmp_path / "first-export"
    about = json.loads((folder / "config.json").read_text())
    assert about["weights"] == ["model.pt"]
    assert about["config"] == {"learning_rate": 0.1, "batch_size": 32}
    assert {**about["model"], "trial": 0, "epoch": 2, "value": 0.5} == about["model"]
    with pytest.raises(NotImplementedError, match=r"write build_model in .*learning_rate=0.1"):
        runpy.run_path(str(folder / "predict.py"))["load"]()
    # As a person does.
    source = (folder / "predict.py").read_text()
    begin = source.index('    raise NotImplementedError(\n        f"write')
    end = source.index("\n\n\n", begin)
    built = "    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))"
    (folder / "predict.py").write_text(
        source[:begin] + built + source[end:] + "    print(predict(torch.eye(3)).tolist())\n"
    )
    done = run(folder / "predict.py")
    assert done.returncode == 0, done.stderr
    told, answer = done.stdout.splitlines()
    assert told == "Sequential with 26 parameters: model.pt"
    with torch.inference_mode():
        assert torch.equal(torch.tensor(json.loads(answer)), model_of(0)(torch.eye(3)))


def test_a_study_on_a_task_exports_a_complete_predict_script(study, tmp_path, monkeypatch):
    checkpoint_of("table", tmp_path / "checkpoint")
    put(LocalStore(study), 0, 2, 0.5, tmp_path / "checkpoint")
    code, out, _ = export(monkeypatch, study, "--to", tmp_path / "of_table")
    assert code == 0
    assert f"python {tmp_path / 'of_table' / 'predict.py'} FILE" in out
    about = json.loads((tmp_path / "of_table" / "config.json").read_text())
    assert about["task"] == "table"
    assert about["model"]["study"] == "first"
    assert about["model"]["value"] == 0.5
    # The folder is never written over.
    code, _, errors = export(monkeypatch, study, "--to", tmp_path / "of_table")
    assert code == 2
    assert "is there already" in errors


def test_the_folder_best_is_exported_if_it_is_intact_and_of_the_best_trial(study):
    with chosen(str(study)) as found:
        assert (found.trial, found.epoch, found.notice) == (0, 2, "")
        assert found.folder.parent == study / "trials" / "0000"
        shutil.copytree(found.folder, study / "best")
    about = {"trial": 0, "epoch": 2, "score": 0.5, "metrics": {}, "config": {}, "checkpoint": "x"}
    (study / "best" / "best.json").write_text(json.dumps(about))
    with chosen(str(study)) as found:
        assert found.folder == study / "best"
    # Of an earlier session, before there was a better trial.
    (study / "best" / "best.json").write_text(json.dumps({**about, "trial": 6, "epoch": 1}))
    with chosen(str(study)) as found:
        assert found.folder.parent == study / "trials" / "0000"
    (study / "best" / "best.json").write_text(json.dumps(about))
    (study / "best" / "state.pt").write_bytes(b"damaged")
    with chosen(str(study)) as found:
        assert found.folder.parent == study / "trials" / "0000"


def test_the_next_intact_checkpoint_replaces_a_damaged_one_and_is_named(
    study, tmp_path, monkeypatch
):
    (state,) = (study / "trials" / "0000").rglob("state.pt")
    state.write_bytes(state.read_bytes()[:-1])
    code, out, _ = export(monkeypatch, study, "--to", tmp_path / "to")
    assert code == 0
    assert "NOTICE    trial 6 after epoch 1, since the checkpoint of the best, trial 0" in out
    weights = torch.load(tmp_path / "to" / "model.pt", weights_only=True)
    assert torch.equal(weights["0.weight"], model_of(6)[0].weight)


@pytest.mark.parametrize("without", ["values", "checkpoints"])
def test_a_study_without_a_model_is_refused_in_one_line(without, tmp_path, monkeypatch):
    folder = tmp_path / "first"
    folder.mkdir()
    write_study(folder, *([] if without == "checkpoints" else [[([], "failed")]]))
    code, _, errors = export(monkeypatch, folder, "--to", tmp_path / "to")
    assert code == 2
    wanted = "no intact checkpoint" if without == "checkpoints" else "no trial has reported score"
    assert wanted in errors
    assert errors.count("\n") == 1
    assert not (tmp_path / "to").exists()


class Hostile:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return (Path.touch, (Path("was_run"),))


def test_other_files_are_copied_and_never_unpickled(study, tmp_path, monkeypatch):
    def of_a_library(folder):
        torch.save({"objects": {"model": Hostile()}}, Path(folder, "state.pt"))
        Path(folder, "model").mkdir()
        Path(folder, "model", "weights.bin").write_bytes(b"abc")

    put(LocalStore(study), 0, 2, 0.5, of_a_library)
    monkeypatch.chdir(tmp_path)
    code, out, _ = export(monkeypatch, study, "--to", "to")
    assert code == 0
    assert "to/checkpoint has the files" in out
    assert not Path("was_run").exists()
    copied = tmp_path / "to" / "checkpoint"
    assert {path.name for path in copied.rglob("*")} == {"state.pt", "model", "weights.bin"}
    done = run(tmp_path / "to" / "predict.py")
    assert done.returncode == 2
    assert "checkpoint/model, checkpoint/state.pt: load it" in done.stderr


@pytest.mark.slow
def test_a_study_in_a_bucket_is_exported(study, bucket, tmp_path, monkeypatch):
    address = f"{bucket}/results/first"
    for path in study.rglob("*"):
        if path.is_file():
            S3Store(address).write(str(path.relative_to(study)), path.read_bytes())
    code, out, errors = export(monkeypatch, address, "--to", tmp_path / "to")
    assert code == 0, errors
    assert "trial 0 after epoch 2" in out
    assert torch.load(tmp_path / "to" / "model.pt", weights_only=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A study with `best/`, to be damaged in copies."""
    folder = tmp_path_factory.mktemp("whole")
    write_study(folder)
    (folder / "trials").mkdir()
    checkpoint_of("table", folder.parent / "checkpoint")
    put(LocalStore(folder), 0, 2, 0.5, folder.parent / "checkpoint")
    with chosen(str(folder)) as found:
        shutil.copytree(found.folder, folder / "best")
    about = {"trial": 0, "epoch": 2, "checkpoint": "x"}
    (folder / "best" / "best.json").write_text(json.dumps(about))
    return folder


@given(data=st.data())
@settings(max_examples=25)
def test_a_damaged_study_gives_a_model_or_one_line(whole, tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("damaged") / "study"
    shutil.copytree(whole, folder)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for path in data.draw(st.lists(st.sampled_from(files), min_size=1, max_size=3, unique=True)):
        content, kept = path.read_bytes(), data.draw(st.integers(-1, 20))
        path.unlink() if kept < 0 else path.write_bytes(content[: len(content) * kept // 20])
    with pytest.MonkeyPatch.context() as patch:
        code, _, errors = export(patch, folder, "--to", folder.parent / "to")
    assert (code, errors.count("\n")) in ((0, 0), (2, 1)), errors
    assert (folder.parent / "to").exists() == (code == 0)
    shutil.rmtree(folder.parent)
