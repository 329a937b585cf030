"""Trials that each do something else wrong, or unusual, in one study: each comes to its own end."""

import math
import os
import signal
import sys
import tempfile
import threading
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from ray import tune
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from search_spaces.hyperparameter import Hyperparameter
from search_spaces.schedulers.asha import ASHA
from search_spaces.schedulers.base import StudyScheduler
from search_spaces.searchers.grid_search import GridSearch
from search_spaces.space import Space
from tests.journals import read_events
from tune_cluster.study.journal import JOURNAL

EPOCHS = 6


def space_of(names):
    how = Hyperparameter(
        name="how",
        meaning="what goes wrong",
        default=names[0],
        kind="network",
        role="scientific",
        advice="for tests",
        values=tuple(names),
    )
    return Space("how", (how,))


def run_each(run_study, trainable, names, **options):
    """A study with a trial of each name; the trials by name, and the study."""
    options = {"scheduler": StudyScheduler(), "max_epochs": EPOCHS, **options}
    searcher = GridSearch(space_of(names))
    code, trials, study = run_study(trainable, trials=len(names), searcher=searcher, **options)
    assert code == 0
    assert all(trial.ended for trial in trials.values())
    return {trial.config["how"]: trial for trial in trials.values()}, study


def events_of(study, trial, *kinds):
    return [
        event
        for event in read_events(study.directory / JOURNAL)
        if event.get("trial") == trial.index and event["event"] in kinds
    ]


def once(folder, name):
    """Return whether this is the first call."""
    marker = folder / name
    there = marker.exists()
    marker.touch()
    return not there


def functions(folder):
    """Behaviours of a trial, by name."""

    def epochs(*values, beside=None):
        for value in values:
            tune.report({"score": value, **(beside or {})})

    def own(*numbers):
        for number in numbers:
            tune.report({"score": 0.5, "epoch": number})

    def fails_once():
        for epoch in range(1, EPOCHS + 1):
            if epoch == 4 and once(folder, "fails once"):
                raise ConnectionError("away for a moment")
            tune.report({"score": epoch / 10, "trained": epoch})

    def fails_always():
        epochs(0.1, 0.2, 0.3)
        raise RuntimeError("index out of range")

    def is_killed():
        for epoch in range(1, EPOCHS + 1):
            if epoch == 4 and once(folder, "is killed"):
                os.kill(os.getpid(), signal.SIGKILL)
            tune.report({"score": epoch / 10, "trained": epoch})

    def saves_and_never_reads():
        for epoch in range(1, EPOCHS + 1):
            if epoch == 4 and once(folder, "saves"):
                raise ConnectionError("away for a moment")
            with tempfile.TemporaryDirectory() as saved:
                Path(saved, "epoch").write_text(str(epoch))
                checkpoint = tune.Checkpoint.from_directory(saved)
                tune.report({"score": -epoch, "trained": epoch}, checkpoint=checkpoint)

    def saves_and_counts_from_0():
        checkpoint, start = tune.get_checkpoint(), 0
        if checkpoint is not None:
            with checkpoint.as_directory() as saved:
                start = int(Path(saved, "epoch").read_text()) + 1
        for epoch in range(start, EPOCHS):
            if epoch == 4 and once(folder, "from 0"):
                raise ConnectionError("away for a moment")
            with tempfile.TemporaryDirectory() as saved:
                Path(saved, "epoch").write_text(str(epoch))
                checkpoint = tune.Checkpoint.from_directory(saved)
                metrics = {"score": 0.5, "epoch": epoch, "trained": epoch + 1}
                tune.report(metrics, checkpoint=checkpoint)

    def leaves(how, *values):
        epochs(*values)
        how()

    def raises(error):
        raise error

    def in_a_thread():
        thread = threading.Thread(target=sys.exit, args=["of no concern"])
        thread.start()
        thread.join()
        epochs(0.1, 0.2)

    def in_a_thread_that_dies():
        thread = threading.Thread(target=leaves, args=[lambda: raises(OSError("no disk")), 0.1])
        thread.start()
        thread.join()

    others = {
        "nested": {"deep": Fraction(1, 4)},
        3: True,
        "big": 10**400,
        "text": "a note",
        "several": np.zeros(3),
        "lock": threading.Lock,
        "made": type("Made", (), {})(),
        "step_losses": [0.9, 0.8],
    }
    return {
        "fails once": fails_once,
        "fails always": fails_always,
        "is killed": is_killed,
        "saves and never reads": saves_and_never_reads,
        "saves and counts from 0": saves_and_counts_from_0,
        "exit 0": lambda: leaves(lambda: sys.exit(0), 0.1, 0.2),
        "exit": lambda: leaves(sys.exit, 0.1, 0.2),
        "exit with a text": lambda: leaves(lambda: sys.exit("no data"), 0.1),
        "exit 3": lambda: leaves(lambda: sys.exit(3)),
        "exit 0 at once": lambda: leaves(lambda: sys.exit(0)),
        "os exit 3": lambda: leaves(lambda: os._exit(3), 0.1),
        "interrupted": lambda: leaves(lambda: raises(KeyboardInterrupt)),
        "stop iteration": lambda: leaves(lambda: next(iter([])), 0.1),
        "exit of another thread": in_a_thread,
        "thread dies": in_a_thread_that_dies,
        "nothing": lambda: None,
        "none": lambda: epochs(None),
        "text": lambda: epochs("0.5"),
        "array": lambda: epochs(np.array([0.1, 0.2])),
        "complex": lambda: epochs(1j),
        "numbers": lambda: epochs(
            torch.tensor(0.1),
            torch.tensor([[0.2]]),
            np.float32(0.3),
            Fraction(2, 5),
            Decimal("0.5"),
            True,
        ),
        "beside": lambda: epochs(0.1, 0.2, beside=others),
        "from 0": lambda: own(*range(6)),
        "every 2nd": lambda: own(2, 4, 6),
        "half epochs": lambda: own(0.5, 1, 1.5, 2, 2.5, 3),
        "twice": lambda: own(1, 1, 2, 2),
        "backwards": lambda: own(3, 2),
        "epoch as text": lambda: own("first"),
        "epoch nan": lambda: own(math.nan),
        "epoch below 0": lambda: own(-1),
    }


@pytest.mark.long
def test_each_trial_of_a_faulty_function_has_an_end_of_its_own(run_study, tmp_path):
    marked = tmp_path / "marks"
    marked.mkdir()
    names = list(functions(marked))

    def train(config):
        functions(marked)[config["how"]]()

    trials, study = run_each(run_study, train, names, keep_best=len(names))
    output = (tmp_path / "output").read_text()

    # A restart without a checkpoint repeats epoch 1 and later ones; their earlier results are lost.
    for name in ("fails once", "is killed", "saves and never reads"):
        trial = trials[name]
        assert (trial.status, trial.epochs, trial.epochs_lost) == ("finished", EPOCHS, 3), name
        results = events_of(study, trial, "result")
        assert [e["epoch"] for e in results] == [e["metrics"]["trained"] for e in results]
        assert [e["epoch"] for e in results] == [1, 2, 3, *range(1, EPOCHS + 1)]
        (lost,) = events_of(study, trial, "epochs_lost")
        assert (lost["first"], lost["last"]) == (1, 3)
        assert not events_of(study, trial, "restored")
        assert f"lost       trial {trial.index}: epochs 1 to 3" in output
        assert curve_of(study, trial) == list(range(1, EPOCHS + 1))
    (lost,) = events_of(study, trials["saves and never reads"], "epochs_lost")
    assert lost["unread"] == 3
    kept = study.trials_dir / f"{trials['saves and never reads'].index:04d}"
    assert [path.name for path in kept.glob("checkpoint_*")] == ["checkpoint_000001"]
    always = trials["fails always"]
    assert (always.status, always.reason) == ("failed", "RuntimeError: index out of range")
    assert len(events_of(study, always, "retried")) == len(events_of(study, always, "epochs_lost"))
    assert list(always.results) == [1, 2, 3]

    # A trial that resumes from a checkpoint has lost nothing.
    counts = trials["saves and counts from 0"]
    assert [e["epoch"] for e in events_of(study, counts, "restored")] == [4]
    results = events_of(study, counts, "result")
    assert [e["epoch"] for e in results] == list(range(1, EPOCHS + 1))
    assert [e["metrics"]["trained"] for e in results] == list(range(1, EPOCHS + 1))

    ended = {name: (trials[name].status, trials[name].epochs) for name in names}
    for name in ("exit 0", "exit", "exit of another thread", "beside"):
        assert ended[name] == ("finished", 2), name
    reasons = {
        "exit with a text": "no data",
        "exit 3": "3",
        "exit 0 at once": "reported nothing",
        "os exit 3": "os._exit(3)",
        "interrupted": "KeyboardInterrupt",
        "stop iteration": "StopIteration",
        "nothing": "reported nothing",
        "none": "score is None",
        "text": "score is '0.5'",
        "array": "score is array(",
        "complex": "score is 1j",
        "twice": "epoch 1 after epoch 1",
        "backwards": "epoch 2 after epoch 3",
        "epoch as text": "'first'",
        "epoch nan": "nan",
        "epoch below 0": "-1",
    }
    for name, reason in reasons.items():
        assert trials[name].status == "failed", name
        assert reason in trials[name].reason, name
        assert not events_of(study, trials[name], "retried"), name

    scores = [result["score"] for result in trials["numbers"].results.values()]
    assert scores == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 1])
    assert trials["beside"].results[1] == {
        **{"score": 0.1, "epoch": 1, "nested/deep": 0.25, "3": 1, "big": None},
    }
    dies = trials["thread dies"]
    assert (dies.status, dies.reason) == ("failed", "OSError: no disk")

    (left_out,) = events_of(study, trials["beside"], "left_out")
    assert set(left_out["metrics"]) == {"text", "several", "lock", "made", "step_losses"}

    assert list(trials["from 0"].results) == [1, 2, 3, 4, 5, 6]
    assert list(trials["every 2nd"].results) == [2, 4, 6]
    assert list(trials["half epochs"].results) == [0.5, 1, 1.5, 2, 2.5, 3]
    assert curve_of(study, trials["every 2nd"]) == [2, 4, 6]
    assert curve_of(study, trials["half epochs"]) == [1, 2, 3, 4, 5, 6]
    assert not any(
        events_of(study, trials[name], "restored")
        for name in names
        if name != "saves and counts from 0"
    )


def curve_of(study, trial):
    """The steps of a trial's curve, as TensorBoard reads them."""
    run = EventAccumulator(str(study.trials_dir / f"{trial.index:04d}")).Reload()
    return [scalar.step for scalar in run.Scalars("score")]


CLASS_FAULTS = {
    "exit 0": ("finished", ""),
    "exit with a text": ("failed", "no data"),
    "os exit 3": ("failed", "os._exit(3)"),
    "interrupted": ("failed", "KeyboardInterrupt"),
    "setup exits": ("failed", "no license"),
    "setup exits with 0": ("failed", "reported nothing"),
    "no dictionary": ("failed", "None"),
    "fails once": ("finished", ""),
    "none": ("failed", "score is None"),
}


@pytest.mark.long
def test_each_trial_of_a_faulty_class_has_an_end_of_its_own(run_study, tmp_path):
    class Faulty(tune.Trainable):
        def setup(self, config):
            self.how, self.epoch = config["how"], 0
            if self.how == "setup exits":
                sys.exit("no license")
            if self.how == "setup exits with 0":
                sys.exit(0)

        def reset_config(self, new_config):
            self.setup(new_config)
            return True

        def step(self):
            self.epoch += 1
            if self.epoch == 3:
                if self.how == "exit 0":
                    sys.exit(0)
                if self.how == "exit with a text":
                    sys.exit("no data")
                if self.how == "os exit 3":
                    os._exit(3)
                if self.how == "interrupted":
                    raise KeyboardInterrupt
                if self.how == "no dictionary":
                    return None
                if self.how == "fails once" and once(tmp_path, "failed"):
                    raise ConnectionError("away for a moment")
            value = None if self.how == "none" else 0.5
            return {"score": value, "trained": self.epoch, "done": self.epoch == EPOCHS}

    # By `ray`, under which equal trials continue.
    rungs = ASHA(max_epochs=EPOCHS, grace_period=2, rung_rule="ray")
    trials, study = run_each(run_study, Faulty, list(CLASS_FAULTS), scheduler=rungs)
    for name, (status, reason) in CLASS_FAULTS.items():
        trial = trials[name]
        assert (trial.status, reason in trial.reason) == (status, True), (name, trial.reason)
    results = events_of(study, trials["fails once"], "result")
    assert [e["epoch"] for e in results] == [e["metrics"]["trained"] for e in results]
    assert [e["epoch"] for e in results] == [1, 2, *range(1, EPOCHS + 1)]
    # It was compared before it began again.
    decisions = events_of(study, trials["fails once"], "decision")
    assert [e["rung"] for e in decisions] == [2]
