"""Why a study ends before its trials do, and why it does not."""

import time

import pytest

from search_spaces.objective import Objective
from tests.journals import Happens, event_of
from tune_cluster.callbacks.stopping import LEAST_FAILURES_ALIKE, Limits, StudyStopper
from tune_cluster.study.events import Session


class Stopping:
    """A stopper, and the study that it ends."""

    def __init__(self, events=(), *, mode="max", begun=True, **limits):
        self.study = Happens(objective=Objective("score", mode))
        for event in events:
            self.study.tell(event)
        self.stopper = StudyStopper(Limits(**limits), self.study.state)
        self.study.listeners.append(self.stopper)
        if begun:
            self.study.tell(Session())

    def result(self, index, score, kind="result"):
        self.study.suggest(index)
        trial, metrics = self.study.trials[index], {"score": score}
        if kind == "result":
            self.go_on(trial)
        self.study.tell(event_of(kind, index, epoch=trial.epochs + 1, metrics=metrics))

    def results(self, *scores):
        for index, score in enumerate(scores):
            self.result(index, score)

    def end(self, index, status, reason=""):
        self.study.suggest(index)
        self.go_on(self.study.trials[index])
        self.study.tell(ended(index, status, reason))

    def go_on(self, trial):
        if trial.ended:
            self.study.tell(event_of("promoted", trial.index))

    @property
    def outcome(self):
        return self.stopper.why, self.stopper.reason


def stopper_of(**limits):
    return Stopping(**limits).stopper


def ended(index, status, reason=""):
    return event_of("ended", index, status=status, reason=reason)


def result(index, score, epoch=1):
    return event_of("result", index, epoch=epoch, metrics={"score": score})


def test_five_first_trials_that_fail_alike_end_the_study_and_four_do_not():
    assert LEAST_FAILURES_ALIKE == 5
    study = Stopping()
    for index in range(4):
        study.end(index, "failed", "OSError: the disk is full")
        assert not study.stopper.stops()
    study.end(4, "failed", "OSError: the disk is full")
    assert study.stopper.stops()
    assert study.outcome == ("failed", "OSError: the disk is full")


@pytest.mark.parametrize("odd", range(5))
@pytest.mark.parametrize(
    ("status", "reason"),
    [("failed", "ValueError: another"), ("finished", ""), ("stopped", ""), ("diverged", "alike")],
)
def test_one_among_the_first_that_ended_otherwise_lets_the_study_go_on(odd, status, reason):
    study = Stopping()
    for index in range(40):
        if index == odd:
            study.end(index, status, reason)
        else:
            study.end(index, "failed", "alike")
    assert not study.stopper.stops()


def test_only_an_end_counts():
    study = Stopping()
    study.results(*[0.1] * 5)
    assert not study.stopper.stops()


def test_the_trials_of_earlier_sessions_count():
    study = Stopping([ended(index, "failed", "alike") for index in range(4)])
    assert not study.stopper.stops()
    study.end(4, "failed", "alike")
    assert study.stopper.why == "failed"


def test_a_study_that_ended_so_is_resumed_and_ends_with_the_next_one_alike():
    earlier = [ended(index, "failed", "alike") for index in range(6)]
    still_broken, repaired = Stopping(earlier), Stopping(earlier)
    assert not still_broken.stopper.stops(), "a person may have repaired it"
    still_broken.end(6, "failed", "alike")
    assert still_broken.stopper.why == "failed"
    repaired.end(6, "finished")
    for index in range(7, 20):
        repaired.end(index, "failed", "alike")
    assert not repaired.stopper.stops()


def test_the_time_budget_ends_the_study_when_it_is_over_and_not_before():
    assert not stopper_of(time_budget=3600).stops()
    assert not stopper_of().stops()
    over = stopper_of(time_budget=0.001)
    time.sleep(0.002)
    assert over.stops()
    assert over.why == "time budget"


def test_the_time_budget_counts_from_the_beginning_of_the_session():
    study = Stopping(begun=False, time_budget=0.001)
    time.sleep(0.002)
    assert not study.stopper.stops(), "a person is still being asked"


@pytest.mark.parametrize("before", [0, 1, 3, 9])
def test_the_epoch_budget_counts_the_epochs_of_all_sessions(before):
    study = Stopping([result(0, 0.1, epoch) for epoch in range(1, before + 1)], epoch_budget=4)
    for _ in range(max(0, 4 - before)):
        assert not study.stopper.stops()
        study.results(0.1)
    assert study.stopper.stops()
    assert study.stopper.why == "epoch budget"
    assert study.stopper.reason == f"{max(4, before)} epochs were run"


@pytest.mark.parametrize(("mode", "scores"), [("max", (0.5, 0.79, 0.8)), ("min", (1.2, 0.81, 0.8))])
def test_the_first_value_that_reaches_the_target_ends_the_study(mode, scores):
    study = Stopping(mode=mode, target=0.8)
    study.results(*scores[:2])
    assert not study.stopper.stops()
    study.results(scores[2])
    assert study.stopper.stops()
    assert study.outcome == ("target", "score 0.8000, target 0.8")


@pytest.mark.parametrize("mode", ["max", "min"])
def test_so_many_trials_without_a_new_best_end_the_study(mode):
    sign = 1 if mode == "max" else -1
    study = Stopping([result(0, sign * 0.5), ended(0, "stopped")], mode=mode, study_patience=3)
    study.end(1, "diverged")
    study.results(sign * 0.6)
    for index in (2, 3):
        study.end(index, "stopped")
        study.results(sign * 0.6)
    assert not study.stopper.stops(), "the new best came after trial 1"
    study.end(4, "failed", "its own")
    assert study.stopper.stops()
    assert study.outcome == (
        "study patience",
        "the last 3 trials brought no new best",
    )


def test_a_trial_that_is_promoted_and_ends_again_counts_once():
    study = Stopping([result(0, 0.5), ended(0, "stopped")], study_patience=3)
    for index in (1, 0, 1, 1, 0):
        study.end(index, "stopped")
    assert not study.stopper.stops()
    study.end(2, "stopped")
    assert study.stopper.stops()


def test_trials_that_fail_while_it_ends_do_not_change_why():
    study = Stopping()
    study.stopper.interrupt()
    for index in range(5):
        study.end(index, "failed", "alike")
    assert study.stopper.why == "interrupted"
