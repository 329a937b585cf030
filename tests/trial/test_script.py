"""Functions that a training script calls: in a trial, and alone."""

import argparse
import json
import random
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import tune_cluster as tc
from tune_cluster.trial.script import QUESTION, saves
from tune_cluster.trial.script_trial import ScriptTrial, current_trial, in_trial


class Trial:
    """Reports of a trial, and the folder of its last checkpoint."""

    def __init__(self, folder, values=None):
        self.folder, self.values, self.reports = folder, values or {}, []

    def report(self, metrics, save):
        self.reports.append(metrics)
        if save is not None:
            save(str(self.folder))

    def running(self):
        opened = (lambda: nullcontext(str(self.folder))) if any(self.folder.iterdir()) else None
        return in_trial(ScriptTrial(self.values, self.report, opened))


@pytest.fixture
def trial(tmp_path):
    return Trial(tmp_path)


def parser():
    found = argparse.ArgumentParser()
    found.add_argument("--lr", type=float, default=0.1)
    found.add_argument("--batch-size", type=int, default=32)
    found.add_argument("--optimizer", choices=["sgd", "adam"], default="sgd")
    found.add_argument("--arch", default="18")
    found.add_argument("--amp", action="store_true")
    return found


def test_a_trial_that_is_given_a_seed_sets_that_of_a_script_that_has_one():
    def values_of(seed, values=None):
        return ScriptTrial(values or {}, lambda metrics, save: None, None, seed)

    seeded = parser()
    seeded.add_argument("--seed", type=int, default=1)
    with in_trial(values_of(7)):
        assert tc.arguments(seeded, []).seed == 7
        assert "seed" not in tc.arguments(parser(), [])
        assert tc.parameters({"seed": 1, "lr": 0.1}) == {"seed": 7, "lr": 0.1}
        assert tc.parameters({"lr": 0.1}) == {"lr": 0.1}
    with in_trial(values_of(7, {"seed": 3})):
        assert tc.arguments(seeded, []).seed == 3, "it is searched"
    with in_trial(values_of(None)):
        assert tc.arguments(seeded, []).seed == 1


def parts():
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    return {"model": model, "optimizer": optimizer, "scheduler": schedule}


def train(count, stop_after=None):
    """The losses of a training that draws from all random streams."""
    objects, losses = parts(), []
    for epoch in tc.epochs(count, **objects):
        inputs = torch.rand(8, 3) + random.random() + np.random.random()
        loss = objects["model"](inputs).pow(2).mean()
        objects["optimizer"].zero_grad()
        loss.backward()
        objects["optimizer"].step()
        losses.append(loss.item())
        tc.report(val_loss=loss.item())
        objects["scheduler"].step()
        if epoch == stop_after:
            break
    return losses


def seeded():
    random.seed(1)
    np.random.seed(1)


def test_a_script_outside_a_trial_runs_unchanged():
    assert tc.arguments(parser(), ["--lr", "0.5"]).lr == 0.5
    assert list(tc.epochs(3)) == [1, 2, 3]
    assert len(train(4)) == 4
    tc.report(val_loss=0.1)
    assert tc.device().type in ("cpu", "cuda")


def test_a_script_outside_a_trial_imports_neither_ray_nor_torch():
    code = (
        "import sys, argparse, tune_cluster as tc; tc.arguments(argparse.ArgumentParser(), []);"
        "list(tc.epochs(2)); tc.report(a=1); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"ray", "torch"} & {*done.stdout.split()}


def test_in_a_trial_arguments_have_the_searched_values(trial):
    trial.values = {"lr": 0.01, "batch_size": 64, "optimizer": "adam", "arch": 34, "amp": True}
    with trial.running():
        args = tc.arguments(parser(), ["--lr", "0.5", "--batch-size", "8"])
    assert vars(args) == {**trial.values, "arch": "34"}
    assert tc.arguments(parser(), []).lr == 0.1


def with_commands():
    found = argparse.ArgumentParser()
    found.add_argument("--seed", type=int, default=1)
    commands = found.add_subparsers(dest="command")
    train = commands.add_parser("train")
    train.add_argument("--lr", type=float, default=0.1)
    train.add_argument("--sizes", type=int, nargs="+", default=[8])
    train.add_argument("--betas", type=float, nargs=2, default=(0.9, 0.999))
    commands.add_parser("test").add_argument("--lr", choices=["none"])
    return found


def test_arguments_of_a_sub_command_are_searched(trial):
    trial.values = {"lr": 0.01, "seed": 3}
    with trial.running():
        args = tc.arguments(with_commands(), ["train"])
        assert (args.lr, args.seed) == (0.01, 3)
        with pytest.raises(ValueError, match="none of its choices, none"):
            tc.arguments(with_commands(), ["test"])
        with pytest.raises(ValueError, match="no argument lr; it has seed"):
            tc.arguments(with_commands(), [])


@pytest.mark.parametrize(
    ("searched", "given"), [({"sizes": (32, 16)}, [32, 16]), ({"sizes": 4}, [4])]
)
def test_an_argument_of_several_values_is_searched(trial, searched, given):
    trial.values = {**searched, "betas": (0.5, 0.9)}
    with trial.running():
        args = tc.arguments(with_commands(), ["train"])
    assert (args.sizes, args.betas) == (given, [0.5, 0.9])


def test_too_few_values_for_an_argument_are_refused(trial):
    trial.values = {"betas": (0.5,)}
    with trial.running(), pytest.raises(ValueError, match=r"betas: .* takes 2"):
        tc.arguments(with_commands(), ["train"])


def test_parameters_in_a_dictionary_have_the_searched_values_too(trial):
    own = {"lr": 0.5, "depth": 3}
    assert tc.parameters(own) == own
    trial.values = {"lr": 0.01}
    with trial.running():
        assert tc.parameters(own) == {"lr": 0.01, "depth": 3}
        with pytest.raises(ValueError, match="no parameter lr; it has depth"):
            tc.parameters({"depth": 3})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"rate": 0.1}, "no argument rate; it has lr, batch_size"),
        ({"optimizer": "rms"}, "none of its choices, sgd, adam"),
        ({"batch_size": 0.5}, "batch_size: 0.5 is refused"),
    ],
)
def test_values_that_the_script_has_no_argument_for_are_named(trial, values, said):
    trial.values = values
    with trial.running(), pytest.raises(ValueError, match=said):
        tc.arguments(parser(), [])


def test_each_epoch_with_a_report_is_reported_once_at_its_end(trial):
    with trial.running():
        for epoch in tc.epochs(4):
            if epoch % 2 == 0:
                tc.report(val_loss=1 / epoch)
            assert len(trial.reports) == (epoch - 1) // 2
    assert trial.reports == [{"val_loss": 0.5, "epoch": 2}, {"val_loss": 0.25, "epoch": 4}]


def test_an_epoch_that_ends_by_break_is_reported(trial):
    with trial.running():
        train(9, stop_after=2)
    assert [report["epoch"] for report in trial.reports] == [1, 2]


def test_a_report_after_a_break_belongs_to_the_epoch_of_the_break(trial):
    with trial.running():
        train(9, stop_after=2)
        assert [report["epoch"] for report in trial.reports] == [1]
        tc.report(test_loss=0.5)
    assert [report["epoch"] for report in trial.reports] == [1, 2]
    assert trial.reports[1].items() >= {"test_loss": 0.5}.items()
    assert trial.reports[1].keys() == {"val_loss", "test_loss", "epoch"}


def test_a_second_loop_over_epochs_is_an_error_in_a_trial_alone(trial):
    assert [*tc.epochs(2), *tc.epochs(2)] == [1, 2, 1, 2]
    with trial.running():
        list(tc.epochs(2))
        with pytest.raises(ValueError, match="second loop"):
            list(tc.epochs(2))


def test_a_callback_reports_at_once_with_its_checkpoint_and_not_in_a_loop_over_epochs(trial):
    with trial.running():
        current_trial().report_saved(
            {"val_loss": 1.0}, lambda folder: Path(folder, "weights").write_text("w")
        )
        assert trial.reports == [{"val_loss": 1.0}]
    with trial.running():
        folder = current_trial().checkpoint_folder()
        assert (folder / "weights").read_text() == "w"
        loop = tc.epochs(2)
        assert next(loop) == 1
        with pytest.raises(ValueError, match=r"loop over tune_cluster\.epochs"):
            current_trial().report_saved({"val_loss": 1.0}, print)
    assert current_trial() is None


def test_an_epoch_that_fails_after_its_report_is_not_reported(trial):
    def fails():
        with trial.running():
            for epoch in tc.epochs(9):
                tc.report(val_loss=1.0)
                epoch / 0

    with pytest.raises(ZeroDivisionError):
        fails()
    assert trial.reports == []


def test_a_second_report_in_an_epoch_is_an_error(trial):
    with trial.running():
        loop = tc.epochs(2)
        next(loop)
        tc.report(train_loss=1.0)
        with pytest.raises(ValueError, match="twice in an epoch"):
            tc.report(val_loss=1.0)


def test_without_a_loop_over_epochs_each_report_is_sent_at_once(trial):
    with trial.running():
        tc.report(val_loss=1.0)
        tc.report({"val_loss": 0.5}, lr=0.1)
    assert trial.reports == [{"val_loss": 1.0}, {"val_loss": 0.5, "lr": 0.1}]


@pytest.mark.parametrize("cut", [1, 3, 5])
def test_a_resumed_training_equals_an_uninterrupted_one(trial, tmp_path_factory, cut):
    seeded()
    with Trial(tmp_path_factory.mktemp("whole")).running():
        whole = train(6)
    seeded()
    with trial.running():
        first = train(6, stop_after=cut)
    random.seed(7)
    with trial.running():
        assert first + train(6) == whole
    assert [report["epoch"] for report in trial.reports] == [1, 2, 3, 4, 5, 6]


def test_a_checkpoint_of_other_objects_is_refused(trial):
    with trial.running():
        train(1)
    objects = parts()
    del objects["scheduler"]
    with trial.running(), pytest.raises(ValueError, match="holds model, optimizer, scheduler"):
        list(tc.epochs(2, **objects))


def test_an_object_without_a_state_dict_is_refused_in_a_trial_and_outside_one(trial):
    with pytest.raises(TypeError, match=r"epochs\(model=...\): int has no state_dict"):
        list(tc.epochs(2, model=3))
    with trial.running(), pytest.raises(TypeError, match="int has no state_dict"):
        list(tc.epochs(2, model=3))


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ({"lr": [0.01]}, {"defaults": {"lr": 0.5}, "error": "", "epochs": 3, "saves": False}),
        ({"rate": [1]}, {"defaults": {}, "error": "--search rate: the script has no parameter"}),
    ],
)
def test_a_script_with_a_dictionary_answers_a_query_with_its_values(
    tmp_path, monkeypatch, asked, answer
):
    file = tmp_path / "question"
    file.write_text(json.dumps(asked))
    monkeypatch.setenv(QUESTION, str(file))
    # The script whose source says whether it saves.
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "train.py")])
    with pytest.raises(SystemExit):
        tc.parameters({"lr": 0.5, "epochs": 3})
    found = json.loads(file.read_text())
    found["error"] = found["error"][: len(answer["error"])]
    assert found == answer


PLAIN = {"error": "", "epochs": None, "saves": False}


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ({"lr": [0.01, 1.0]}, {"defaults": {"lr": 0.1}, **PLAIN}),
        ({"amp": [True]}, {"defaults": {"amp": False}, **PLAIN}),
    ],
)
def test_a_script_answers_a_query_with_its_defaults_and_ends(tmp_path, monkeypatch, asked, answer):
    file = tmp_path / "question"
    file.write_text(json.dumps(asked))
    monkeypatch.setenv(QUESTION, str(file))
    # The script whose source says whether it saves.
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "train.py")])
    with pytest.raises(SystemExit) as ended:
        tc.arguments(parser(), [])
    assert not ended.value.code
    assert json.loads(file.read_text()) == answer


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("for epoch in tc.epochs(9, model=model): pass", True),
        ("for epoch in epochs(9, **objects): pass", True),
        ("for epoch in tc.epochs(9): tc.report(loss=1)", False),
        ("def main():\n  from tune_cluster.integrations.xgboost import TuneCallback", True),
        ("import tune_cluster.integrations.sklearn as own", True),
        ("from tune_cluster import report", False),
        ("no Python", False),
    ],
)
def test_the_source_of_a_script_shows_whether_it_saves_checkpoints(source, found):
    assert saves(source) is found
