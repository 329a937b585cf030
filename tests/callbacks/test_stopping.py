"""Why a study ends before its trials do, and why it does not."""

import time

import pytest

from tune_cluster.callbacks.stopping import ALIKE, Limits, StudyStopper


def stopper_of(events=(), *, mode="max", **limits):
    stopper = StudyStopper(Limits(**limits), events, metric="score", mode=mode)
    stopper.begin()
    return stopper


def ended(index, status, reason=""):
    return {"event": "ended", "trial": index, "status": status, "reason": reason}


def result(index, score):
    return {"event": "result", "trial": index, "epoch": 1, "metrics": {"score": score}}


def end(stopper, index, status, reason=""):
    stopper.on_event(ended(index, status, reason), None)


def tell(stopper, *scores):
    for index, score in enumerate(scores):
        stopper.on_event(result(index, score), None)


def test_five_first_trials_that_fail_alike_end_the_study_and_four_do_not():
    assert ALIKE == 5
    stopper = stopper_of()
    for index in range(4):
        end(stopper, index, "failed", "OSError: the disk is full")
        assert not stopper.stop_all()
    end(stopper, 4, "failed", "OSError: the disk is full")
    assert stopper.stop_all()
    assert (stopper.why, stopper.reason) == ("failed", "OSError: the disk is full")


@pytest.mark.parametrize("odd", range(5))
@pytest.mark.parametrize(
    ("status", "reason"),
    [("failed", "ValueError: another"), ("finished", ""), ("stopped", ""), ("diverged", "alike")],
)
def test_one_among_the_first_that_ended_otherwise_lets_the_study_go_on(odd, status, reason):
    stopper = stopper_of()
    for index in range(40):
        if index == odd:
            end(stopper, index, status, reason)
        else:
            end(stopper, index, "failed", "alike")
    assert not stopper.stop_all()


def test_only_an_end_counts():
    stopper = stopper_of()
    tell(stopper, *[0.1] * 5)
    assert not stopper.stop_all()


def test_the_trials_of_earlier_sessions_count():
    stopper = stopper_of([ended(index, "failed", "alike") for index in range(4)])
    assert not stopper.stop_all()
    end(stopper, 4, "failed", "alike")
    assert stopper.why == "failed"


def test_a_study_that_ended_so_is_resumed_and_ends_with_the_next_one_alike():
    earlier = [ended(index, "failed", "alike") for index in range(6)]
    still_broken, repaired = stopper_of(earlier), stopper_of(earlier)
    assert not still_broken.stop_all(), "a person may have repaired it"
    end(still_broken, 6, "failed", "alike")
    assert still_broken.why == "failed"
    end(repaired, 6, "finished")
    for index in range(7, 20):
        end(repaired, index, "failed", "alike")
    assert not repaired.stop_all()


def test_the_time_budget_ends_the_study_when_it_is_over_and_not_before():
    assert not stopper_of(time_budget=3600).stop_all()
    assert not stopper_of().stop_all()
    over = stopper_of(time_budget=0.001)
    time.sleep(0.002)
    assert over.stop_all()
    assert over.why == "time budget"


def test_the_time_budget_counts_from_the_beginning_of_the_session():
    stopper = StudyStopper(Limits(time_budget=0.001), metric="score", mode="max")
    time.sleep(0.002)
    assert not stopper.stop_all(), "a person is still being asked"


@pytest.mark.parametrize("before", [0, 1, 3, 9])
def test_the_epoch_budget_counts_the_epochs_of_all_sessions(before):
    stopper = stopper_of([result(0, 0.1)] * before, epoch_budget=4)
    for _ in range(max(0, 4 - before)):
        assert not stopper.stop_all()
        tell(stopper, 0.1)
    assert stopper.stop_all()
    assert stopper.why == "epoch budget"
    assert stopper.reason == f"{max(4, before)} epochs were run"


@pytest.mark.parametrize(("mode", "scores"), [("max", (0.5, 0.79, 0.8)), ("min", (1.2, 0.81, 0.8))])
def test_the_first_value_that_reaches_the_target_ends_the_study(mode, scores):
    stopper = stopper_of(mode=mode, target=0.8)
    tell(stopper, *scores[:2])
    assert not stopper.stop_all()
    tell(stopper, scores[2])
    assert stopper.stop_all()
    assert (stopper.why, stopper.reason) == ("target", "score 0.8000, asked for 0.8")


@pytest.mark.parametrize("mode", ["max", "min"])
def test_so_many_trials_without_a_new_best_end_the_study(mode):
    sign = 1 if mode == "max" else -1
    stopper = stopper_of([result(0, sign * 0.5), ended(0, "stopped")], mode=mode, study_patience=3)
    end(stopper, 1, "diverged")
    tell(stopper, sign * 0.6)
    for index in (2, 3):
        end(stopper, index, "stopped")
        tell(stopper, sign * 0.6)
    assert not stopper.stop_all(), "the new best came after trial 1"
    end(stopper, 4, "failed", "its own")
    assert stopper.stop_all()
    assert (stopper.why, stopper.reason) == (
        "study patience",
        "the last 3 trials brought no new best",
    )


def test_a_trial_that_is_promoted_and_ends_again_counts_once():
    stopper = stopper_of([result(0, 0.5), ended(0, "stopped")], study_patience=3)
    for index in (1, 0, 1, 1, 0):
        end(stopper, index, "stopped")
    assert not stopper.stop_all()
    end(stopper, 2, "stopped")
    assert stopper.stop_all()


def test_no_single_trial_is_stopped_here():
    stopper = stopper_of(time_budget=0.001)
    time.sleep(0.002)
    assert stopper.stop_all()
    assert stopper("trial", {"score": 0}) is False


def test_trials_that_fail_while_it_ends_do_not_change_why():
    stopper = stopper_of()
    stopper.why = "interrupted"
    for index in range(5):
        end(stopper, index, "failed", "alike")
    assert stopper.why == "interrupted"


def test_tunes_pickle_of_it_holds_nothing():
    assert stopper_of([ended(0, "failed")], time_budget=60).__getstate__() == {}


def test_a_controls_epochs_count_and_its_values_and_its_end_do_not():
    stopper = stopper_of(epoch_budget=4, target=0.9, study_patience=2)
    tell(stopper, 0.5, 0.4)
    for score in (0.95, 0.99):
        assert not stopper.stop_all()
        stopper.on_event({**result(0, score), "event": "control"}, None)
        stopper.on_event({**ended(0, "finished"), "event": "control_ended"}, None)
    assert stopper.stop_all()
    assert stopper.why == "epoch budget"
