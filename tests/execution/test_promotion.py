"""Trials that a rung stops resume from their checkpoints once they are among the best: real Ray."""

from collections import Counter

import pytest

from search_spaces.schedulers.asha import ASHA
from search_spaces.schedulers.rungs import Rungs
from search_spaces.searchers.random_search import RandomSearch
from tests.execution.test_audit import toy
from tests.in_process import SPACE, study_in
from tests.journals import read_events
from tune_cluster.storage.checkpoints import dirname_of
from tune_cluster.study.journal import JOURNAL

pytestmark = pytest.mark.slow


def told(study):
    return read_events(study.directory / JOURNAL)


@pytest.mark.parametrize("max_concurrent", [1, 2])
def test_the_best_of_every_rung_resume_from_their_checkpoints_and_no_epoch_runs_twice(
    run_study, tmp_path, max_concurrent
):
    ran = tmp_path / "ran"

    def act(config, epoch, result, restored):
        with ran.open("a") as file:
            file.write(f"{config['seed']} {epoch}\n")

    code, trials, study = run_study(toy(act), trials=18, max_concurrent=max_concurrent)
    assert code == 0
    events = told(study)
    promoted = [(event["trial"], event["rung"]) for event in events if event["event"] == "promoted"]
    assert promoted
    assert len(set(promoted)) == len(promoted)
    for rung in (1, 3):
        reached = {i: t.results[rung]["score"] for i, t in trials.items() if rung in t.results}
        best = sorted(reached, key=reached.get, reverse=True)[: len(reached) // 3]
        assert all(trials[index].epochs > rung for index in best)
    assert {trial.status for trial in trials.values()} == {"stopped", "finished"}
    # Nothing was wasted, and nothing of it is an event of its own.
    epochs = Counter(ran.read_text().splitlines())
    assert set(epochs.values()) == {1}
    assert len(epochs) == sum(trial.epochs for trial in trials.values())
    assert not any(event["event"] == "restored" for event in events)
    # Each trial is one directory.
    assert sorted(path.name for path in study.trials_dir.iterdir()) == [
        dirname_of(index) for index in range(18)
    ]


def test_a_promotion_comes_before_a_new_trial(run_study):
    _, _, study = run_study(toy(), trials=12, max_concurrent=1)
    rungs = Rungs(9)
    for event in told(study):
        if event["event"] == "suggested":
            assert rungs.next_promotion() is None
        elif event["event"] == "promoted":
            assert rungs.next_promotion().trial == event["trial"]
            rungs.promote(event["trial"], event["rung"])
        elif event["event"] == "decision":
            rungs.report(event["trial"], event["rung"], event["value"])
    assert rungs.next_promotion() is None


@pytest.fixture
def run_in_two(run_study):
    """Runs a study of `first` trials, lets something happen, and runs it up to 18."""

    def run_it(name, first, happens=lambda study: None):
        for trials in filter(None, (first, 18)):
            searcher = RandomSearch(SPACE, seed=1)
            code, records, study = run_study(
                toy(), trials=trials, searcher=searcher, max_concurrent=1, name=name
            )
            assert code == 0
            happens(study)
        return records, study

    return run_it


def test_an_extended_study_equals_one_run_and_promotes_trials_of_its_first_session(run_in_two):
    whole, _ = run_in_two("whole", 0)
    grown, study = run_in_two("grown", 8)
    assert grown == whole
    events = told(study)
    second = events[[event["event"] for event in events].index("closed") :]
    assert {event["trial"] for event in second if event["event"] == "promoted"} & set(range(8))
    again = ASHA(max_epochs=9, grace_period=1)
    searcher = RandomSearch(SPACE, seed=1)
    options = {"trials": study.total, "searcher": searcher, "scheduler": again}
    study_in(study.directory, trainable=study.trainable, **options)
    assert again.memory == study.scheduler.memory


def turns(config, epoch, result, restored):
    """The better from epoch 3 on, the worse it was before."""
    result["score"] = config["quality"] * (1 if epoch >= 3 else -1)


@pytest.mark.parametrize("max_concurrent", [1, 4])
def test_a_rung_that_does_not_rank_is_left_out_and_reported_and_stays_out_on_resume(
    run_study, tmp_path, max_concurrent
):
    def run_it(name, *sizes):
        for trials in sizes:
            options = {"trials": trials, "max_concurrent": max_concurrent, "name": name}
            code, records, study = run_study(toy(turns), scheduler=ASHA(max_epochs=9), **options)
            assert code == 0
        return records, study

    grown, study = run_it("grown", 8, 18)
    rungs = [(e["rung"], e["used"]) for e in told(study) if e["event"] == "rung_judged"]
    assert rungs == [(1, False), (3, True)]
    assert min(trial.epochs for trial in grown.values()) == 3
    output = (tmp_path / "output").read_text()
    assert "rung 1 is left out" not in output, "it was told in the first session"
    again = ASHA(max_epochs=9)
    study_in(study.directory, trainable=study.trainable, trials=18, scheduler=again)
    assert again.memory == study.scheduler.memory
    if max_concurrent == 1:
        assert grown == run_it("whole", 18)[0]


def torn(checkpoint):
    (checkpoint / "result.json").write_text("{")


def changed(checkpoint):
    # A checkpoint that the trainable would load silently.
    (checkpoint / "epoch").write_text("7")


@pytest.mark.parametrize("how", [torn, pytest.param(changed, marks=pytest.mark.long)])
def test_a_checkpoint_damaged_before_the_promotion_costs_its_epochs_and_is_reported(
    run_in_two, how
):
    def damage(study):
        for checkpoint in study.trials_dir.glob("*/checkpoint_*"):
            how(checkpoint)

    trials, study = run_in_two("damaged", 8, damage)
    events = told(study)
    second = events[[event["event"] for event in events].index("closed") :]
    promoted = {event["trial"] for event in second if event["event"] == "promoted"}
    restored = {event["trial"]: event for event in second if event["event"] == "restored"}
    assert restored
    assert set(restored) == promoted & set(range(8))
    for index, event in restored.items():
        assert event["epoch"] == 0
        assert "checkpoint_000001" in event["unreadable"]
        assert list(trials[index].results) == list(range(1, trials[index].epochs + 1))
