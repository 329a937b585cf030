"""Controls: stopped trials that are finished later, on a real Ray, and a study without them."""

import math
import os
import signal
from pathlib import Path

import pytest
from ray import tune

from search_spaces.objective import Expectation
from search_spaces.schedulers.asha import ASHA
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.searchers.tpe_search import TPESearch
from tests.in_process import SPACE, study_in
from tests.journals import read_events
from tune_cluster.execution.cost_estimate import Controls, expected_controls
from tune_cluster.storage.checkpoints import control_dirname, dirname_of, stopped_dirname
from tune_cluster.study.journal import JOURNAL


def test_a_controls_directory_says_which_trial_it_was():
    assert control_dirname(12) == "0012-control"
    assert stopped_dirname(control_dirname(12)) == dirname_of(12)
    assert stopped_dirname(dirname_of(12)) is None


def test_the_plan_expects_a_share_of_those_that_are_stopped_and_what_they_are_short_of():
    expectation = Expectation({1: 12.0, 3: 5.0, 9: 3.0}, epochs=34.0, makespan=34.0)
    assert expected_controls(expectation, 0.5) == Controls(4.5, 0.5 * (7 * 8 + 2 * 6))


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


def events_of(study, *, controls):
    """What the journal says without times, with or without all that only an audited study has."""
    kept = []
    for event in read_events(study.directory / JOURNAL):
        mark = event.pop("control", None) is not None
        only_audited = event["event"].startswith("control") or (
            event["event"] == "restored" and mark
        )
        if controls is only_audited and event["event"] not in ("session", "closed"):
            kept.append({k: v for k, v in event.items() if k not in ("time", "node")})
    return kept


@pytest.mark.slow
@pytest.mark.parametrize("searcher", [RandomSearch, TPESearch])
def test_an_audited_study_without_its_controls_is_the_unaudited_one(run_study, searcher):
    studies = []
    for name, audit in (("plain", 0.0), ("audited", 0.5)):
        code, trials, study = run_study(
            toy(),
            trials=16,
            searcher=searcher(SPACE, seed=0),
            scheduler=ASHA(max_epochs=9, audit=audit, seed=3),
            max_concurrent=1,
            name=name,
        )
        assert code == 0
        studies.append(study)
    plain, audited = studies
    assert events_of(audited, controls=False) == events_of(plain, controls=False)
    assert (audited.directory / "trials.csv").read_text() == (
        plain.directory / "trials.csv"
    ).read_text()
    assert audited.scheduler.memory == plain.scheduler.memory
    assert events_of(plain, controls=True) == []
    assert not (plain.directory / "audit.json").exists()

    controls = {t.index for t in trials.values() if t.control is not None}
    stopped = {t.index for t in trials.values() if t.status == "stopped"}
    assert controls == {index for index in stopped if audited.scheduler.is_control(index)}
    assert 0 < len(controls) < len(stopped)
    for index in controls:
        trial = trials[index]
        assert trial.control == "finished"
        assert sorted({**trial.results, **trial.control_results}) == list(range(1, 10))
        assert list(trial.control_results) == list(range(trial.rung + 1, 10))
        # Its curve is that of the trial, had it not been stopped.
        quality = trial.config["quality"]
        last = quality * (1 - 0.6**9) + (quality < 0.5) * 0.4**9
        assert trial.control_results[9]["score"] == pytest.approx(last)
        assert not list((audited.trials_dir / control_dirname(index)).glob("checkpoint_*"))
    ranked = sorted(trials, key=lambda index: -trials[index].best.value)
    for index in range(16):
        # The best of the best, and the latest of a stopped one: a study that grows may promote it.
        epochs = {trials[index].best.epoch} if index in ranked[:5] else set()
        if index in stopped:
            epochs.add(trials[index].epochs)
        kept = {path.name for path in (audited.trials_dir / dirname_of(index)).glob("check*")}
        assert kept == {f"checkpoint_{epoch:06d}" for epoch in epochs}
    lines = (audited.directory.parent / "output").read_text().splitlines()
    assert sum(line.startswith("control  ") for line in lines) == len(controls)
    assert any(line.startswith("rungs killed ") for line in lines)


@pytest.mark.slow
def test_controls_that_go_wrong_end_alone_and_two_at_a_time_all_of_them_end(
    run_study, tmp_path, monkeypatch
):
    # Each costs seconds.
    monkeypatch.setattr("tune_cluster.execution.ray_tune.study.LOST_PROCESS_RETRIES", 1)
    died = tmp_path / "died"

    def act(config, epoch, result, restored):
        if not restored or epoch < 4:
            return
        if config["quality"] < 0.2:
            raise RuntimeError("no luck")
        if config["quality"] < 0.4:
            result["score"] = math.nan
        elif not died.exists():
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        elif config["quality"] < 0.5:
            os.kill(os.getpid(), signal.SIGKILL)

    asha = ASHA(max_epochs=9, audit=1.0)
    code, trials, study = run_study(toy(act), trials=16, scheduler=asha)
    assert code == 0
    assert died.exists()
    stopped = [trial for trial in trials.values() if trial.status == "stopped"]
    assert stopped
    for trial in stopped:
        quality = trial.config["quality"]
        fails = "failed" if quality < 0.2 else "diverged"
        fails = "failed" if 0.4 <= quality < 0.5 else fails
        assert trial.control == (fails if quality < 0.5 else "finished")
        # Beside others a process may be lost by what another trial does.
        assert trial.control_infrastructure_failure is (0.4 <= quality < 0.5)
    assert len({trial.control for trial in stopped}) == 3
    # Neither the rungs nor the table know of it.
    assert not any(math.isinf(v) for at in asha.memory.values.values() for v in at.values())
    assert {trial.status for trial in trials.values()} == {"finished", "stopped"}
    resumed = ASHA(max_epochs=9, audit=1.0)
    study_in(study.directory, scheduler=resumed, trainable=study.trainable, trials=study.total)
    assert resumed.memory == asha.memory


@pytest.mark.slow
def test_a_study_grows_with_its_controls_and_without_checkpoints_they_are_run_again(run_study):
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
        scheduler = ASHA(max_epochs=9, audit=1.0)
        _, trials, study = run_study(Plain, trials=trials_in_all, scheduler=scheduler)
        controls = [trial for trial in trials.values() if trial.status == "stopped"]
        assert len(controls) > len(ended)
        for trial in controls:
            assert trial.control == "finished"
            assert list(trial.control_results) == list(range(trial.rung + 1, 10))
        journal = read_events(study.directory / JOURNAL)
        ended = [event["trial"] for event in journal if event["event"] == "control_ended"]
        assert sorted(ended) == [trial.index for trial in controls], "none is run a second time"
