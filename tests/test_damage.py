"""A study whose files are damaged is refused in a line, or is the study that it was.

Never a traceback, never an endless wait, never a different table without a message. The variable
TUNE_CLUSTER_DAMAGES=20000 sets the number of damages.
"""

import contextlib
import io
import os
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ray import tune

from search_spaces.objective import Objective
from search_spaces.schedulers.asha import ASHA
from search_spaces.searchers.tpe_search import TPESearch
from search_spaces.spaces import TRAINING
from tests.conftest import ROOT, table_of
from tests.damage import cut_off, damages, do_damage, without_line
from tune_cluster import TuneConfig, Tuner
from tune_cluster.callbacks.hparams import Columns
from tune_cluster.callbacks.tensorboard import TensorBoard, read_run
from tune_cluster.cli import audit
from tune_cluster.execution.best import keep_best
from tune_cluster.execution.command_line import parse
from tune_cluster.execution.ray_tune.study import Study
from tune_cluster.execution.resume import taken_up
from tune_cluster.reports import comparison, plots
from tune_cluster.storage.checkpoints import TrialCheckpoints
from tune_cluster.storage.store import LocalStore
from tune_cluster.study.earlier import earlier_trials
from tune_cluster.study.events import Closed, Session
from tune_cluster.study.journal import JOURNAL
from tune_cluster.study.stored import read_study
from tune_cluster.study.study_file import STUDY_FILE
from tune_jobs import compare_strategies

pytestmark = pytest.mark.long

METRIC = "val_accuracy"
COUNT = int(os.environ.get("TUNE_CLUSTER_DAMAGES", "1500"))

PATIENCE = 30
"""Seconds after which a reader hangs; it takes a hundredth of one."""


def run_job(folder, address, *arguments):
    job = ROOT / "tune_jobs" / "compare_strategies.py"
    return subprocess.run(
        [sys.executable, str(job), *arguments, "--address", address],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )


@pytest.fixture(scope="module")
def whole(cluster_address, tmp_path_factory):
    """A study that searches by a model and stops at rungs, at its end; one trial at a time."""
    folder = tmp_path_factory.mktemp("whole")
    done = run_job(
        folder,
        cluster_address,
        *("--strategy", "tpe_asha", "--dataset", "digits", "--trials", "12", "--max-epochs", "4"),
        *("--seed", "1", "--max-concurrent", "1", "--name", "study"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "results" / "study"


class Recorded(tune.Trainable):
    recorded_as = "trainables.image_classifier.ImageClassifier"

    def step(self):
        raise NotImplementedError

    def save_checkpoint(self, checkpoint_dir):
        raise NotImplementedError


def files_of(study):
    return sorted(str(path.relative_to(study)) for path in study.rglob("*") if path.is_file())


def resumed(study):
    """All that a resume knows before it schedules anything."""
    with ExitStack() as held:
        argv = ["--resume", str(study)]
        command, directory = taken_up(partial(parse, compare_strategies.job, argv), held)
        epochs = command.options.epochs
        asha = ASHA(max_epochs=epochs)
        searcher = TPESearch(TRAINING.fix(epochs=epochs, patience=0), seed=1)
        config = TuneConfig(metric=METRIC, mode="max", search_alg=searcher, scheduler=asha)
        tuner = Tuner(Recorded, tune_config=config)
        study = Study(directory.path, tuner, command.options, max_concurrent=1)
        told = {index: asdict(trial) for index, trial in searcher.trials.items()}
        return {
            "trials": {index: asdict(trial) for index, trial in study.trials.items()},
            "rungs": (asha.memory.values, {e: r.passed for e, r in asha.memory.rungs.items()}),
            "told": told,
            "total": study.total,
            "limits": asdict(study.stopper.limits),
            "best": keep_best(study),
        }


def audited(study):
    with contextlib.redirect_stdout(io.StringIO()) as told:
        audit(str(study))
    return told.getvalue()


def compared(study):
    ((run,), objective) = comparison.read_runs(study.parent)
    return run.strategy, run.seed, run.best.tolist(), run.trials, objective


def warm(study):
    objective = Objective(METRIC, "max")
    return [replace(event, study="") for event in earlier_trials(str(study), objective)]


def drawn(study):
    plots.draw_curves(study, study.parent / "curves.png")
    return (study.parent / "curves.png").read_bytes()


def curves_completed(study):
    """The epochs in the event files after a resume has completed them."""
    state = read_study(study).state
    completed = TensorBoard(study / "trials", Columns(TRAINING, METRIC))
    for event in (Session(), Closed(why="interrupted")):
        completed.on_event(event, state, replay=False)
    return {run.name: read_run(run).epochs for run in sorted((study / "trials").iterdir())}


def checkpoints_of(study):
    """Return the readable checkpoints of each trial, and its best one."""
    found = {}
    for run in sorted((study / "trials").iterdir()):
        checkpoints = TrialCheckpoints(LocalStore(run, study), "max")
        mine = [asdict(c) | {"store": ""} for c in checkpoints.newest_first()]
        best = checkpoints.best()
        found[run.name] = mine, None if best is None else best.epoch
    return found


READERS = (resumed, audited, compared, warm, curves_completed, checkpoints_of)


@contextlib.contextmanager
def watched():
    def hang(*_):
        raise AssertionError("it waits without end")

    before = signal.signal(signal.SIGALRM, hang)
    signal.alarm(PATIENCE)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def read(reader, study):
    """Return what a reader finds in a study, or the line with which it refuses it."""
    complaints = io.StringIO()
    try:
        with watched(), contextlib.redirect_stderr(complaints):
            return reader(study), None
    except ValueError as error:
        return None, str(error)
    except SystemExit as ended:
        return None, complaints.getvalue().strip() if ended.code == 2 else "\n"


def copied(study, folder):
    """A copy for one damage, in which weights are the same files."""

    def copy(source, target):
        (os.link if source.endswith(".pt") else shutil.copyfile)(source, target)

    target = folder / "study"
    shutil.copytree(study, target, copy_function=copy)
    return target


@pytest.fixture(scope="module")
def told(whole, tmp_path_factory):
    """Return what a reader finds if the driver was killed after that many lines."""
    known = {}

    def told_by(reader, count):
        if (reader, count) not in known:
            study = copied(whole, tmp_path_factory.mktemp("told"))
            lines = (study / JOURNAL).read_bytes().splitlines(keepends=True)
            (study / JOURNAL).unlink()
            (study / JOURNAL).write_bytes(b"".join(lines[:count]))
            known[reader, count], refused = read(reader, study)
            assert refused is None
        return known[reader, count]

    return told_by


@settings(
    max_examples=COUNT,
    deadline=None,
    derandomize="TUNE_CLUSTER_DAMAGES" not in os.environ,
    suppress_health_check=list(HealthCheck),
)
@given(
    file=st.integers(0, 2**16),
    damage=damages,
    reader=st.sampled_from(READERS),
)
def test_a_damaged_study_is_refused_in_one_line_or_read_as_before(
    whole, told, tmp_path_factory, file, damage, reader
):
    folder = tmp_path_factory.mktemp("damaged")
    try:
        study = copied(whole, folder)
        names = files_of(study)
        # Half of all damage affects the two files that all others derive from.
        name = (STUDY_FILE, JOURNAL)[file % 2] if file % 4 < 2 else names[file // 4 % len(names)]
        do_damage(study / name, damage)
        found, refused = read(reader, study)
        if refused is not None:
            assert "\n" not in refused
            assert name.rpartition("/")[2] in refused or study.name in refused
            return
        compare(reader, found, told, study, name)
    finally:
        shutil.rmtree(folder)


def compare(reader, found, told, study, name):
    """Compare what a reader finds in a damaged study with what it finds in the original."""
    if reader is checkpoints_of:
        before = told(reader, None)
        # A damaged one is left out, and nothing else is.
        for run, (checkpoints, _) in found.items():
            assert all(one in before[run][0] for one in checkpoints)
            assert len(checkpoints) == len(before[run][0]) or run in name
        return
    before = told(reader, (study / JOURNAL).read_bytes().count(b"\n"))
    if reader is resumed:
        best, best_before = found.pop("best"), before["best"]
        assert found == {key: before[key] for key in found}
        if best is not None and "checkpoint_" not in name:
            same = ("trial", "epoch", METRIC, "config", "metrics")
            assert [best[key] for key in same] == [best_before[key] for key in same]
    else:
        assert found == before


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        (JOURNAL, ("bytes", without_line, 9, 0)),
        (JOURNAL, ("kind", "FIFO")),
        (STUDY_FILE, ("kind", "circle")),
        (STUDY_FILE, ("json", 0, 2, "removed")),
        ("trials.csv", ("kind", "folder")),
    ],
)
def test_a_resume_of_a_damaged_study_ends_in_one_line_before_anything_runs(
    whole, tmp_path, name, damage
):
    study = copied(whole, tmp_path)
    do_damage(study / name, damage)
    done = run_job(tmp_path, "local", "--resume", str(study))
    assert done.returncode == 2, done.stdout + done.stderr
    (line,) = done.stderr.strip().splitlines()
    assert name in line


def test_a_resume_after_lost_last_lines_ends_with_the_same_table(whole, cluster_address, tmp_path):
    """Their checkpoints, whose epochs the journal lacks, exist."""
    study = copied(whole, tmp_path)
    size = (study / JOURNAL).stat().st_size
    do_damage(study / JOURNAL, ("bytes", cut_off, size // 2, 0))
    do_damage(study / "trials.csv", ("kind", "gone"))
    do_damage(study / "best" / "best.json", ("json", 0, 5, None))
    done = run_job(tmp_path, cluster_address, "--resume", str(study))
    assert done.returncode == 0, done.stdout + done.stderr
    assert table_of(study) == table_of(whole)
