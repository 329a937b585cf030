"""The output of a study: the table, the best checkpoint, and the last lines."""

import json
import shlex
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from search_spaces.schedulers.base import Closing
from search_spaces.searchers.random_search import RandomSearch
from tests.in_process import SPACE, Scored, names, study_in
from tests.journals import event_of
from tune_cluster.command_words import without
from tune_cluster.execution.best import keep_best
from tune_cluster.execution.summary import (
    repeated,
    resume_command,
    show_next,
    show_summary,
    shown,
    typed,
    write_closing,
)
from tune_cluster.reports.tables import write_table
from tune_cluster.storage.checkpoints import TrialCheckpoints
from tune_cluster.storage.store import LocalStore
from tune_cluster.study.journal import JOURNAL

COMMAND = ["python", "tune_jobs/job.py"]


class Called:
    def __call__(self, config):
        """Trains nothing."""


class Evaluated(Called):
    """A trainable that counts how often the test set is used, and for which checkpoint."""

    def __init__(self):
        self.calls = []

    def evaluate(self, config, checkpoint_dir, dataset):
        self.calls.append((config, Path(checkpoint_dir, "state").read_text(), dataset))
        return {"test_accuracy": 0.75, "test_loss": 0.5}


def test_a_study_has_not_ended_while_a_promoted_trial_runs(tmp_path):
    study = study_of(tmp_path, [([0.5], "finished"), ([0.4], "stopped")])
    assert study.complete
    study.state.apply(event_of("promoted", 1))
    assert not study.complete
    study.state.apply(event_of("ended", 1, status="stopped", epoch=1, rung=1))
    assert study.complete


def study_of(folder, trials, *, total=None, mode="max", trainable=None):
    """A study whose journal and checkpoints are those of `trials`: (values by epoch, status)."""
    directory = folder / "study"
    (directory / "trials").mkdir(parents=True, exist_ok=True)
    events = []
    for index, (values, status) in enumerate(trials):
        config = {"learning_rate": 0.1 / (index + 1)}
        events.append({"event": "suggested", "trial": index, "config": config})
        checkpoints = TrialCheckpoints(LocalStore(directory / "trials" / f"{index:04d}"), mode)
        for epoch, value in enumerate(values, start=1):
            metrics = {"score": value, "loss": epoch / 10}
            events.append({"event": "result", "trial": index, "epoch": epoch, "metrics": metrics})
            checkpoints.write(epoch, value, metrics, saving(f"{index} after {epoch}"))
        if status is not None:
            end = {"event": "ended", "trial": index, "status": status, "epoch": len(values)}
            events.append(end)
    (directory / JOURNAL).write_text("".join(json.dumps(event) + "\n" for event in events))
    study = study_in(
        directory,
        at_once=1,
        mode=mode,
        trainable=trainable or Scored,
        searcher=RandomSearch(SPACE, seed=0),
        trials=len(trials) if total is None else total,
        max_epochs=27,
    )
    study.dataset = "the dataset"
    return study


def saving(content):
    return lambda folder: Path(folder, "state").write_text(content)


def best_file(study):
    return json.loads((study.directory / "best" / "best.json").read_text())


TRIALS = [([0.1, 0.6, 0.4], "finished"), ([0.3], "stopped"), ([], "diverged")]


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (["--name", "x", "--seed", "1"], ["--seed", "1"]),
        (["--seed", "1", "--name", "x"], ["--seed", "1"]),
        (["--name=x", "--seed", "1"], ["--seed", "1"]),
        (["--seed=1", "--name=a b"], ["--seed=1"]),
        (["--named", "x", "--name-of=y"], ["--named", "x", "--name-of=y"]),
        (["--seed", "1"], ["--seed", "1"]),
        (["--name", "x", "--seed", "1", "--name=y"], ["--seed", "1"]),
        ([], []),
    ],
)
def test_a_flag_is_left_out_with_its_value_in_either_form(words, kept):
    assert without([*COMMAND, *words], "--name") == [*COMMAND, *kept]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--seed", "1"], ["--seed", "1", "--trials", "8"]),
        (["--name", "x", "--trials", "4"], ["--trials", "8"]),
        (["--name=x", "--trials=4", "--seed=2"], ["--seed=2", "--trials", "8"]),
        (["--smoke-test", "--name", "x"], ["--smoke-test"]),
        (["--smoke_test"], ["--smoke_test"]),
        (["--resume-or-start", "--name", "x", "--seed=2"], ["--seed=2", "--trials", "8"]),
    ],
)
def test_the_repeat_command_has_the_present_number_of_trials_and_no_name(words, said):
    before = [*COMMAND, *words]
    assert repeated(before, 8) == [*COMMAND, *said]
    assert before == [*COMMAND, *words]


def test_the_resume_command_has_the_script_and_the_study_but_no_other_flag(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = [*COMMAND, "--trials", "4", "--name", "my study"]
    said = resume_command(command, study_in(tmp_path / "results" / "my study"))
    assert shlex.split(said) == [*COMMAND, "--resume", "results/my study"]


def test_a_path_is_short_below_the_working_directory_and_absolute_elsewhere(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert shown(Path("a/../b")) == Path("b")
    assert shown(tmp_path / "here" / "b") == Path("b")
    assert shown(Path("../b")) == tmp_path / "b"
    assert typed(Path("a b")) == "'a b'"


@pytest.mark.parametrize(("mode", "trial", "epoch"), [("max", 0, 2), ("min", 0, 1)])
def test_the_folder_best_has_the_best_checkpoint_and_its_description(tmp_path, mode, trial, epoch):
    study = study_of(tmp_path, TRIALS, mode=mode)
    best = keep_best(study)
    assert best_file(study) == best
    value = TRIALS[trial][0][epoch - 1]
    assert best == {
        "trial": trial,
        "epoch": epoch,
        "score": value,
        "metrics": {"score": value, "loss": epoch / 10},
        "config": {"learning_rate": 0.1},
        "checkpoint": str(study.trials_dir / f"{trial:04d}" / f"checkpoint_{epoch:06d}"),
    }
    files = {path.name for path in (study.directory / "best").iterdir()}
    assert files == {"state", "result.json", "best.json"}
    assert (study.directory / "best" / "state").read_text() == f"{trial} after {epoch}"


def test_the_test_set_is_used_once_for_the_best_checkpoint(tmp_path):
    trainable = Evaluated()
    study = study_of(tmp_path, TRIALS, trainable=trainable)
    best = keep_best(study)
    assert trainable.calls == [({"learning_rate": 0.1}, "0 after 2", "the dataset")]
    assert best["test"] == {"test_accuracy": 0.75, "test_loss": 0.5}
    assert keep_best(study) == best
    assert keep_best(study_of(tmp_path, TRIALS, trainable=trainable)) == best
    assert len(trainable.calls) == 1


@pytest.mark.parametrize(
    ("trials", "total"), [([*TRIALS, ([0.9], None)], 4), (TRIALS, 4), ([*TRIALS, ([], None)], 4)]
)
def test_before_the_last_trial_has_ended_the_test_set_is_not_used(tmp_path, trials, total):
    trainable = Evaluated()
    study = study_of(tmp_path, trials, total=total, trainable=trainable)
    assert not study.complete
    best = keep_best(study)
    assert "test" not in best
    assert "test" not in best_file(study)
    assert trainable.calls == []


def test_a_study_that_grows_uses_the_test_set_again_only_for_a_better_checkpoint(tmp_path):
    trainable = Evaluated()
    first = keep_best(study_of(tmp_path, TRIALS, trainable=trainable))
    worse = [*TRIALS, ([0.5], "finished")]
    assert keep_best(study_of(tmp_path, worse, trainable=trainable)) == first
    assert len(trainable.calls) == 1

    better = [*worse, ([0.8], "finished")]
    unfinished = keep_best(study_of(tmp_path, better, total=6, trainable=trainable))
    assert (unfinished["trial"], "test" in unfinished) == (4, False)
    study = study_of(tmp_path, better, trainable=trainable)
    best = keep_best(study)
    assert [state for _, state, _ in trainable.calls] == ["0 after 2", "4 after 1"]
    assert (best["trial"], best["epoch"], best_file(study)) == (4, 1, best)
    assert (study.directory / "best" / "state").read_text() == "4 after 1"


def test_a_failed_evaluation_keeps_the_best_checkpoint_and_is_repeated_later(tmp_path):
    class Failing(Called):
        def evaluate(self, config, checkpoint_dir, dataset):
            raise OSError("the test set is gone")

    failed = keep_best(study_of(tmp_path, TRIALS, trainable=Failing()))
    assert failed["test_error"] == "OSError: the test set is gone"
    assert (tmp_path / "study" / "best" / "state").read_text() == "0 after 2"
    assert "test" in keep_best(study_of(tmp_path, TRIALS, trainable=Evaluated()))


def test_a_damaged_best_file_is_written_anew(tmp_path):
    study = study_of(tmp_path, TRIALS, trainable=Evaluated())
    best = keep_best(study)
    (study.directory / "best" / "best.json").write_text('{"trial": 0, "ep')
    assert keep_best(study) == best
    assert best_file(study) == best


def test_a_trainable_without_evaluate_has_no_test_figure(tmp_path):
    study = study_of(tmp_path, TRIALS, trainable=Called())
    assert "test" not in keep_best(study)
    assert best_file(study)["epoch"] == 2


def test_a_best_checkpoint_with_folders_is_copied_and_replaced_whole(tmp_path):
    study = study_of(tmp_path, TRIALS)
    for content in ("first", "second"):
        checkpoint = study.trials_dir / "0000" / "checkpoint_000002"
        (checkpoint / "model").mkdir(exist_ok=True)
        (checkpoint / "model" / "weights").write_text(content)
        keep_best(study)
        kept = study.directory / "best"
        assert (kept / "model" / "weights").read_text() == content
    assert not [path for path in kept.iterdir() if path.name.startswith(".")]


def test_without_a_value_there_is_no_best_trial(tmp_path):
    study = study_of(tmp_path, [([], "diverged"), ([], None)])
    assert keep_best(study) is None
    assert not (study.directory / "best").exists()


def test_without_checkpoints_the_best_configuration_is_written_all_the_same(tmp_path):
    study = study_of(tmp_path, [([], "diverged"), ([], None)])
    for epoch, value in enumerate((0.5, 0.7), start=1):
        study.state.apply(event_of("result", 1, epoch=epoch, metrics={"score": value}))
        assert keep_best(study)["score"] == value
        assert best_file(study)["score"] == value
    assert "checkpoint" not in best_file(study)
    assert names(study.directory / "best") == ["best.json"]


def test_a_best_checkpoint_that_is_kept_is_not_replaced_by_a_value_alone(tmp_path):
    study = study_of(tmp_path, TRIALS)
    keep_best(study)
    kept = best_file(study)
    for trial in study.trials_dir.iterdir():
        shutil.rmtree(trial)
    study.state.apply(event_of("suggested", 3, config={"learning_rate": 0.5}))
    study.state.apply(event_of("result", 3, epoch=1, metrics={"score": 0.9}))
    assert keep_best(study)["score"] == 0.9
    assert best_file(study) == kept


def last_lines(study, best, command=COMMAND):
    path = study.directory.parent / "screen"
    with path.open("w") as file:
        show_summary(Console(file=file), study, best)
        show_next(Console(file=file), study, command)
    lines = [line for line in path.read_text().splitlines() if line]
    return {line[:15].strip(): line[15:] for line in lines}


def test_the_summary_has_the_best_trial_and_the_next_commands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = study_of(tmp_path, TRIALS, trainable=Evaluated())
    lines = last_lines(study, keep_best(study), [*COMMAND, "--name=study", "--trials=2"])
    assert lines["trials"] == "3 of 3: 1 diverged, 1 finished, 1 stopped; 4 epochs in all"
    assert lines["best"] == "trial 0: learning_rate=0.1"
    assert lines["best epoch"] == "2 of 3"
    assert lines["score"] == "0.6000"
    assert lines["test_accuracy"].startswith("0.7500")
    assert "test_loss" not in lines
    assert lines["checkpoint"] == "study/best"
    assert lines["curves"].endswith(" --logdir study")
    assert lines["repeat"] == "python tune_jobs/job.py --trials 3"
    assert "resume" not in lines


def test_the_summary_of_an_unfinished_study_has_its_resume_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = study_of(tmp_path, [([], "diverged"), ([], None)], total=5)
    lines = last_lines(study, None)
    assert lines["trials"] == "2 of 5: 1 diverged, 1 pending; 0 epochs in all"
    assert lines["best"].startswith("none")
    assert lines["resume"] == "python tune_jobs/job.py --resume study"
    assert "repeat" not in lines
    assert "checkpoint" not in lines


def test_the_summary_shows_a_schedule(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    study = study_of(tmp_path, TRIALS)
    path = tmp_path / "screen"
    with path.open("w") as file:
        told = [("schedule", "learning_rate 0.01"), ("repeats it", "`config` in {file}")]
        best = keep_best(study)
        lines = write_closing(study, Closing("schedule.json", {"trial": 0}, told))
        show_summary(Console(file=file), study, best, lines)
    shown = path.read_text()
    assert "schedule       learning_rate 0.01\n" in shown
    assert json.loads((study.directory / "best" / "schedule.json").read_text()) == {"trial": 0}
    assert "study/best/schedule.json" in shown


def test_the_best_file_and_the_table_have_the_configuration_of_the_best_epoch(tmp_path):
    study = study_of(tmp_path, [([0.1, 0.6, 0.4, 0.9], "finished")])
    trial = study.trials[0]
    before = trial.config["learning_rate"]
    for epoch, (old, new) in {1: (before, 0.2), 3: (0.2, 0.3)}.items():
        changes = {"learning_rate": [old, new]}
        study.state.apply(event_of("exploited", 0, epoch=epoch, changes=changes))
    study.state.apply(event_of("epochs_lost", 0, first=4, last=4))
    assert keep_best(study)["config"]["learning_rate"] == 0.2
    write_table(tmp_path / "trials.csv", study.state)
    assert "0.2" in (tmp_path / "trials.csv").read_text().splitlines()[1].split(",")
