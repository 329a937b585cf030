"""A scheduler of Ray Tune's pauses and stops trials: the recorded decisions."""

from dataclasses import replace

import pytest
from ray.tune.experiment import Trial
from ray.tune.schedulers import HyperBandScheduler, MedianStoppingRule, TrialScheduler

from search_spaces.schedulers.adapter import AdaptedScheduler
from search_spaces.trial_events import Ended
from tests.search_spaces.conftest import study_of


class Controller:
    """Does what Tune's controller does when a scheduler pauses or stops a trial."""

    search_alg = None

    def __init__(self, scheduler):
        self.scheduler = scheduler

    def pause_trial(self, trial, should_checkpoint):
        assert not should_checkpoint, "the trial's own checkpoints are all that it needs"
        trial.set_status(Trial.PAUSED)

    def stop_trial(self, trial):
        trial.set_status(Trial.TERMINATED)
        self.scheduler.on_trial_remove(self, trial)


@pytest.fixture
def bracket():
    """The scheduler, and three trials that it compares after two epochs of four."""
    scheduler = AdaptedScheduler(HyperBandScheduler(max_t=4, reduction_factor=2), (None, None))
    study_of(scheduler=scheduler).check()
    controller = Controller(scheduler)
    trials = []
    for index in range(6):
        trial = Trial("__fake", stub=True, trial_id=f"t{index}")
        trial.custom_dirname = f"{index:04d}"
        scheduler.on_trial_add(controller, trial)
        trials.append(trial)
    for trial in trials[:3]:
        trial.set_status(Trial.RUNNING)
    return scheduler, controller, trials[3:]


def reported(scheduler, controller, trial, epoch, score):
    trial.set_status(Trial.RUNNING)
    result = {"training_iteration": epoch, "epoch": epoch, "score": score}
    return scheduler.on_trial_result(controller, trial, result)


def test_waiting_trials_are_paused_and_the_worst_is_stopped_while_it_waits(bracket):
    scheduler, controller, (worst, second, best) = bracket
    for trial in (worst, second, best):
        assert reported(scheduler, controller, trial, 1, 0.0) == TrialScheduler.CONTINUE
    for trial, score in ((worst, 0.1), (second, 0.5)):
        assert reported(scheduler, controller, trial, 2, score) == TrialScheduler.NOOP
        assert trial.status == Trial.PAUSED
    assert scheduler.take_events() == []
    assert reported(scheduler, controller, best, 2, 0.9) == TrialScheduler.CONTINUE
    assert scheduler.take_events() == [Ended(trial=3, epoch=2, status="stopped")]
    assert scheduler.take_events() == []
    assert scheduler.choose_trial_to_run(controller) is second


def test_a_trial_that_is_stopped_as_it_reports_is_recorded_once(bracket):
    scheduler, controller, (worst, second, best) = bracket
    for trial, score in ((best, 0.9), (second, 0.5)):
        reported(scheduler, controller, trial, 2, score)
    assert reported(scheduler, controller, worst, 2, 0.1) == TrialScheduler.STOP
    worst.set_status(Trial.TERMINATED)
    scheduler.on_trial_complete(controller, worst, {})
    assert scheduler.take_events() == [Ended(trial=3, epoch=2, status="stopped")]


def test_a_trial_that_tune_stops_itself_is_no_decision(bracket):
    scheduler, controller, (waits, *_) = bracket
    reported(scheduler, controller, waits, 2, 0.1)
    controller.stop_trial(waits)
    assert scheduler.take_events() == []


@pytest.mark.parametrize("continues", [False, True])
def test_a_note_says_before_the_study_that_paused_trials_start_over(continues):
    scheduler = AdaptedScheduler(MedianStoppingRule(), (None, None))
    replace(study_of(scheduler=scheduler), continues=continues, trainable="train").check()
    notes = scheduler.notes(4)
    assert bool(notes) is not continues
    assert all("train " in note and "MedianStoppingRule pauses" in note for note in notes)
