"""A failed trial is retried a limited number of times, and the retries are reported."""

import csv
import os
import signal
from pathlib import Path

import pytest
from ray import tune

from search_spaces.schedulers.asha import ASHA
from search_spaces.schedulers.base import StudyScheduler
from tests.execution.ray_tune.test_trainable import trainable_that
from tests.in_process import names
from tests.journals import read_events
from tune_cluster.study.journal import JOURNAL
from tune_cluster.trial.failures import ERROR_RETRIES, LOST_PROCESS_RETRIES, Retries

EPOCHS = 5
EVERYONE = ASHA(max_epochs=EPOCHS, rung_rule="ray", grace_period=EPOCHS)

KILLED = (
    "its process was lost (Worker unexpectedly exits with a connection error code 2. End of file.)"
)


def times(folder, name):
    """Return the number of calls with that name, including this one, in any process."""
    (folder / f"{name}-{len(list(folder.glob(f'{name}-*')))}").touch()
    return len(list(folder.glob(f"{name}-*")))


def events_of(study, kind):
    return [e for e in read_events(study.directory / JOURNAL) if e["event"] == kind]


def table_of(study):
    with (study.directory / "trials.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_three_errors_of_a_trial_are_retried_and_the_fourth_is_not():
    retries = Retries()
    assert ERROR_RETRIES == 3
    for _ in range(2):
        retries.reset()
        assert [retries.allow(f"error {number}") for number in range(4)] == [True] * 3 + [False]


def test_an_error_that_failed_one_trial_is_not_retried_in_the_next_until_an_epoch_succeeds():
    retries = Retries()
    retries.reset()
    assert [retries.allow("alike") for _ in range(4)] == [True] * 3 + [False]
    retries.reset()
    assert not retries.allow("alike")
    retries.reset()
    assert retries.allow("another")
    assert not retries.allow("alike")
    retries.on_epoch()
    assert retries.allow("alike")


@pytest.mark.slow
def test_an_error_is_retried_from_the_checkpoint_and_recorded(run_study, tmp_path):
    calls = tmp_path / "calls"
    calls.mkdir()

    def act(config, epoch, result):
        if epoch == 3 and times(calls, "error") <= 3:
            raise OSError("the file is busy")

    code, trials, study = run_study(
        trainable_that(act), trials=2, max_concurrent=1, scheduler=EVERYONE
    )
    assert code == 0
    assert [trial.status for trial in trials.values()] == ["finished"] * 2
    retried = [(e["trial"], e["epoch"], e["reason"]) for e in events_of(study, "retried")]
    assert retried == [(0, 3, "OSError: the file is busy")] * 3
    assert [e["epoch"] for e in events_of(study, "restored")] == [2] * 3
    results = [(e["trial"], e["epoch"]) for e in events_of(study, "result")]
    assert results == [(trial, epoch) for trial in (0, 1) for epoch in range(1, EPOCHS + 1)]
    assert (
        "retried    trial 0 in epoch 3: OSError: the file is busy"
        in (tmp_path / "output").read_text()
    )


@pytest.mark.long
@pytest.mark.parametrize("resets", [True, False])
def test_the_fourth_error_ends_the_trial_with_its_own_last_lines_in_the_table(
    run_study, tmp_path, resets
):
    calls = tmp_path / "calls"
    calls.mkdir()

    def act(config, epoch, result):
        name = f"{config['quality']:.6f}"
        print(f"epoch {epoch} of {name}")
        os.system(f"echo from a subprocess of {name} >&2")
        if config["quality"] > 0.6 and epoch == 1:
            raise RuntimeError(f"no luck, time {times(calls, name)}")

    trainable = trainable_that(act)
    if not resets:
        del trainable.reset_config
    code, trials, study = run_study(trainable, trials=6, scheduler=EVERYONE)
    assert code == 0
    failed = [trial for trial in trials.values() if trial.status == "failed"]
    assert 0 < len(failed) < 6
    for trial in failed:
        assert trial.reason == "RuntimeError: no luck, time 4"
        assert sum(e["trial"] == trial.index for e in events_of(study, "retried")) == 3
    logs = {int(row["trial"]): row["log"] for row in table_of(study)}
    for trial in trials.values():
        lines = logs[trial.index].splitlines()
        if trial.status != "failed":
            assert lines == []
            continue
        name = f"{trial.config['quality']:.6f}"
        assert 2 < len(lines) <= 20
        assert lines[-1] == "RuntimeError: no luck, time 4"
        said = lines.index(f"epoch 1 of {name}")
        assert lines[said + 1] == f"from a subprocess of {name}"
        of_others = [line for line in lines if " of 0." in line and name not in line]
        assert of_others == []


@pytest.mark.slow
def test_a_function_is_retried_from_the_checkpoint_it_reported(run_study, tmp_path):
    calls = tmp_path / "calls"
    calls.mkdir()

    def train(config):
        checkpoint, done = tune.get_checkpoint(), 0
        if checkpoint is not None:
            with checkpoint.as_directory() as folder:
                done = int(Path(folder, "epoch").read_text())
        for epoch in range(done + 1, EPOCHS + 1):
            if epoch == 3 and times(calls, "error") <= 3:
                raise OSError("the file is busy")
            folder = calls / f"made-{epoch}"
            folder.mkdir(exist_ok=True)
            (folder / "epoch").write_text(str(epoch))
            tune.report(
                {"score": epoch / 10, "epoch": epoch},
                checkpoint=tune.Checkpoint.from_directory(str(folder)),
            )

    code, trials, study = run_study(
        train, trials=1, max_epochs=EPOCHS, scheduler=StudyScheduler(), max_concurrent=1
    )
    assert code == 0
    assert trials[0].status == "finished"
    assert [e["epoch"] for e in events_of(study, "retried")] == [3] * 3
    assert [e["epoch"] for e in events_of(study, "result")] == list(range(1, EPOCHS + 1))


@pytest.mark.slow
def test_a_process_that_has_lost_its_gpu_is_never_used_again(run_study, tmp_path):
    calls = tmp_path / "calls"
    calls.mkdir()

    def act(config, epoch, result):
        if epoch == 3 and times(calls, "error") == 1:
            os.environ["BROKEN"] = "1"
        if "BROKEN" in os.environ:
            raise RuntimeError("CUDA error: device-side assert triggered")

    code, trials, study = run_study(
        trainable_that(act), trials=3, max_concurrent=1, scheduler=EVERYONE
    )
    assert code == 0
    assert [trial.status for trial in trials.values()] == ["finished"] * 3
    (lost,) = events_of(study, "retried")
    assert lost["lost"]
    said = "RuntimeError: CUDA error: device-side assert triggered"
    assert lost["reason"] == f"its process was lost ({said})"
    assert lost["traceback"].endswith(said)
    assert [e["epoch"] for e in events_of(study, "restored")] == [2]


@pytest.mark.slow
def test_a_process_lost_between_two_trials_fails_neither_of_them(run_study, tmp_path):
    calls = tmp_path / "calls"
    calls.mkdir()
    toy = trainable_that(lambda config, epoch, result: None)

    class DiesWhenItIsReset(toy):  # type: ignore[valid-type, misc]
        def reset_config(self, new_config):
            if times(calls, "reset") in (1, 3):
                os.kill(os.getpid(), signal.SIGKILL)
            return super().reset_config(new_config)

    code, trials, study = run_study(
        DiesWhenItIsReset, trials=8, max_concurrent=1, scheduler=EVERYONE
    )
    assert code == 0
    assert [trial.status for trial in trials.values()] == ["finished"] * 8
    assert len(events_of(study, "ended")) == 8
    assert [e["lost"] for e in events_of(study, "retried")] == [True] * 2


@pytest.mark.long
def test_a_trial_whose_process_is_lost_several_times_finishes_with_every_epoch_once(
    run_study, tmp_path
):
    calls = tmp_path / "calls"
    calls.mkdir()

    def act(config, epoch, result):
        if times(calls, "step") % 2 == 0 and len(names(calls)) <= 20:
            os.kill(os.getpid(), signal.SIGKILL)

    code, trials, study = run_study(trainable_that(act), trials=1, scheduler=EVERYONE)
    assert code == 0
    assert trials[0].status == "finished"
    lost = events_of(study, "retried")
    assert len(lost) == 4
    assert all(e["lost"] and e["reason"] == KILLED for e in lost)
    assert [e["epoch"] for e in events_of(study, "result")] == list(range(1, EPOCHS + 1))


@pytest.mark.slow
def test_a_trial_whose_process_is_always_lost_fails_after_its_retries_with_the_reason(
    run_study, tmp_path, monkeypatch
):
    assert LOST_PROCESS_RETRIES == 20
    # Each costs seconds.
    monkeypatch.setattr("tune_cluster.execution.ray_tune.study.LOST_PROCESS_RETRIES", 2)

    def act(config, epoch, result):
        if config["quality"] > 0.8 and epoch == 2:
            os.kill(os.getpid(), signal.SIGKILL)

    code, trials, study = run_study(
        trainable_that(act), trials=2, max_concurrent=1, scheduler=EVERYONE
    )
    assert code == 0
    assert [trial.status for trial in trials.values()] == ["finished", "failed"]
    lost = [(e["trial"], e["epoch"], e["lost"]) for e in events_of(study, "retried")]
    assert lost == [(1, 2, True)] * 2
    rows = [(row["trial"], row["status"], row["epochs_run"]) for row in table_of(study)]
    assert rows == [("0", "finished", str(EPOCHS)), ("1", "failed", "1")]
    reason = KILLED.replace("lost", "lost again and again")
    assert f"failed     trial 1 in epoch 2: {reason}" in (tmp_path / "output").read_text()
    (ended,) = (e for e in events_of(study, "ended") if e["trial"] == 1)
    assert ended["reason"] == reason
    assert "worker process has died" in ended["traceback"]
