"""The audit of a study: a second one, whose trials continue stopped ones of the first."""

import json
import math
import os
import signal
from pathlib import Path

import pytest
from ray import tune

from search_spaces.schedulers.asha import ASHA, drawn
from tests.journals import read_events
from tests.studies import about
from tune_cluster.execution.audit import begin
from tune_cluster.reports.audit import audit
from tune_cluster.storage.s3 import S3Store
from tune_cluster.study.journal import JOURNAL

RUNGS = {"reduction_factor": 3, "max_epochs": 9, "grace_period": 1, "rungs": [1, 3]}
SUGGESTED = {"event": "suggested", "trial": 0, "config": {}}


def stored(folder, events=(), **said):
    """A stored study."""
    folder.mkdir()
    (folder / JOURNAL).write_text("".join(json.dumps(event) + "\n" for event in events))
    said = {"command": ["python", __file__], **said}
    (folder / "study.json").write_text(json.dumps(about(**said)))
    return str(folder)


@pytest.mark.parametrize("share", [0.0, -0.1, 1.1, math.nan])
def test_a_share_outside_0_to_1_is_refused(tmp_path, share):
    with pytest.raises(ValueError, match="--share must be above 0 and at most 1"):
        begin(stored(tmp_path / "first", strategy=RUNGS), share)


def test_a_study_that_cannot_be_audited_is_refused_and_no_file_is_left(tmp_path):
    with pytest.raises(ValueError, match="no rungs that could be audited"):
        begin(stored(tmp_path / "whole"), 0.5)
    with pytest.raises(ValueError, match=r"1 of its trials have not ended.*--resume .*running"):
        begin(stored(tmp_path / "running", [SUGGESTED], strategy=RUNGS), 0.5)
    with pytest.raises(ValueError, match="no study is there"):
        begin(str(tmp_path / "missing"), 0.5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["running", "whole"]


def test_a_share_can_only_grow(tmp_path):
    first = stored(tmp_path / "first", strategy=RUNGS)
    address = begin(first, 0.5)
    assert address == f"{first}-audit"
    with pytest.raises(ValueError, match=r"--share 0\.4: .* has a share of 0\.5 already"):
        begin(first, 0.4)
    begin(first, 0.6)
    assert json.loads(Path(address, "study.json").read_text())["audits"] == {
        "study": "first",
        "share": 0.6,
    }


def test_a_study_that_only_has_the_name_of_the_audit_is_not_changed(tmp_path):
    first = stored(tmp_path / "first", strategy=RUNGS)
    other = Path(stored(tmp_path / "first-audit"), "study.json")
    before = other.read_text()
    with pytest.raises(ValueError, match="is no audit of it"):
        begin(first, 0.5)
    assert other.read_text() == before


def toy(act=lambda config, epoch, result, restored: None):
    """Curves that cross: the worse half starts high. Made in a function, so that it travels to the
    workers by value."""

    class Toy(tune.Trainable):
        takes_seed = True
        reuse_actors = True

        def setup(self, config):
            self.config, self.epoch, self.restored = config, 0, False

        def reset_config(self, new_config):
            self.setup(new_config)
            return True

        def step(self):
            self.epoch += 1
            quality = self.config["quality"]
            score = quality * (1 - 0.6**self.epoch) + (quality < 0.5) * 0.4**self.epoch
            result = {"score": score, "epoch": self.epoch}
            act(self.config, self.epoch, result, self.restored)
            return {**result, "done": self.epoch == 9}

        def save_checkpoint(self, checkpoint_dir):
            Path(checkpoint_dir, "epoch").write_text(str(self.epoch))

        def load_checkpoint(self, checkpoint_dir):
            self.epoch, self.restored = int(Path(checkpoint_dir, "epoch").read_text()), True

    return Toy


def newest_checkpoints(study):
    """The epoch of the newest one of each trial that has any."""
    found = {}
    for path in sorted(study.trials_dir.glob("*/checkpoint_*")):
        found[int(path.parent.name)] = int(path.name.removeprefix("checkpoint_"))
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rule", "kept"),
    [("promotion", 0.0), ("top", 0.5), pytest.param("top", 0.0, marks=pytest.mark.long)],
)
def test_an_audit_trial_ends_with_the_results_of_an_unstopped_trial(
    run_study, tmp_path, rule, kept
):
    asha = {"max_epochs": 9, "grace_period": 1, "rung_rule": rule, "audit": kept, "seed": 3}
    code, trials, study = run_study(toy(), trials=16, scheduler=ASHA(**asha), max_concurrent=1)
    assert code == 0
    journal, newest = (study.directory / JOURNAL).read_bytes(), newest_checkpoints(study)
    address = begin(str(tmp_path / "study"), 0.5)
    code, continued, second = run_study(
        toy(), scheduler=ASHA(**asha), max_concurrent=1, name=Path(address).name
    )
    assert code == 0
    stopped = {t.index for t in trials.values() if t.status == "stopped"}
    assert [t.origin for t in continued.values()] == [i for i in stopped if drawn(3, i, 0.5)]
    assert 0 < len(continued) < len(stopped)
    for trial in continued.values():
        before = trials[trial.origin]
        assert (trial.config, trial.status) == (before.config, "finished")
        # Without a checkpoint it restarts.
        assert trial.start_epoch == newest.get(trial.origin, 0)
        if kept or rule == "promotion":
            assert trial.start_epoch == before.epochs
        assert list(trial.results) == list(range(trial.start_epoch + 1, 10))
        # Its curve is that of the trial, had it not been stopped.
        quality = trial.config["quality"]
        for epoch, metrics in {**before.results, **trial.results}.items():
            wanted = quality * (1 - 0.6**epoch) + (quality < 0.5) * 0.4**epoch
            assert metrics["score"] == pytest.approx(wanted)
    assert (study.directory / JOURNAL).read_bytes() == journal, "it is only read"
    found = json.loads((second.directory / "audit.json").read_text())
    assert (found["controls"], found["controls_left"]) == (len(continued), 0)
    assert found == audit(str(tmp_path / "study"))


@pytest.mark.long
def test_failing_audit_trials_end_alone_and_with_two_at_a_time_every_audit_trial_ends(
    run_study, tmp_path, monkeypatch
):
    # Each costs seconds.
    monkeypatch.setattr("tune_cluster.execution.ray_tune.study.LOST_PROCESS_RETRIES", 1)
    died = tmp_path / "died"

    def act(config, epoch, result, restored):
        if epoch < 4:
            return
        assert restored
        if config["quality"] < 0.2:
            raise RuntimeError("no luck")
        if config["quality"] < 0.4:
            result["score"] = math.nan
        elif not died.exists():
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        elif config["quality"] < 0.5:
            os.kill(os.getpid(), signal.SIGKILL)

    run_study(toy(), trials=16, scheduler=ASHA(max_epochs=9, grace_period=1))
    begin(str(tmp_path / "study"), 1.0)
    code, trials, _ = run_study(
        toy(act), scheduler=ASHA(max_epochs=9, grace_period=1), name="study-audit"
    )
    assert code == 0
    assert died.exists()
    assert trials
    for trial in trials.values():
        quality = trial.config["quality"]
        fails = "failed" if quality < 0.2 or quality >= 0.4 else "diverged"
        assert trial.status == (fails if quality < 0.5 else "finished")
        # Beside other trials a process may be lost because of them.
        assert trial.infrastructure_failure is (0.4 <= quality < 0.5)
    assert len({trial.status for trial in trials.values()}) == 3
    found = audit(str(tmp_path / "study"))
    assert found["controls_lost"] == sum(t.infrastructure_failure for t in trials.values())
    assert found["controls"] == len(trials) - found["controls_lost"]


@pytest.mark.long
def test_an_audit_grows_with_its_study_and_runs_trials_without_checkpoints_from_the_start(
    run_study, tmp_path
):
    class Plain(tune.Trainable):
        reuse_actors = True

        def setup(self, config):
            self.config, self.epoch = config, 0

        def step(self):
            self.epoch += 1
            done = self.epoch == 9
            return {"score": self.config["quality"], "epoch": self.epoch, "done": done}

        def reset_config(self, new_config):
            self.setup(new_config)
            return True

    ended = []
    for trials_in_all in (4, 8):
        _, trials, _ = run_study(
            Plain, trials=trials_in_all, scheduler=ASHA(max_epochs=9, grace_period=1)
        )
        begin(str(tmp_path / "study"), 1.0)
        _, continued, second = run_study(
            Plain, scheduler=ASHA(max_epochs=9, grace_period=1), name="study-audit"
        )
        stopped = [trial.index for trial in trials.values() if trial.status == "stopped"]
        assert len(stopped) > len(ended)
        assert sorted(trial.origin for trial in continued.values()) == stopped
        for trial in continued.values():
            assert trial.status == "finished"
            assert list(trial.results) == list(range(1, 10))
        journal = read_events(second.directory / JOURNAL)
        ended = [event["trial"] for event in journal if event["event"] == "ended"]
        assert sorted(ended) == sorted(continued), "none is run a second time"


def test_the_audit_of_a_study_in_a_bucket_lies_in_the_bucket(bucket):
    first = S3Store(f"{bucket}/results/first")
    first.write(JOURNAL, b"")
    said = about(strategy=RUNGS, command=["python", __file__])
    first.write("study.json", json.dumps(said).encode())
    for share in (0.5, 0.6):
        address = begin(str(first), share)
        assert address == f"{first}-audit"
        stored_there = json.loads(S3Store(address).read("study.json"))
        assert stored_there["audits"] == {"study": "first", "share": share}
    assert audit(address) == audit(str(first))
    assert audit(address)["controls_left"] == 1, "of which nobody knows more yet"
