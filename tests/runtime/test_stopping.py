"""Why a study ends before its trials do, and why it does not."""

import os
import signal
import time

import pytest

from tune_jobs.runtime.journal import TrialRecord
from tune_jobs.runtime.stopping import ALIKE, StudyStopper


def record(index, status, reason=""):
    return TrialRecord(index, {}, status=status, reason=reason)


def end(stopper, index, status, reason=""):
    trial = record(index, status, reason)
    stopper.on_event({"event": "ended", "trial": index, "status": status}, trial)


def test_five_first_trials_that_fail_alike_end_the_study_and_four_do_not():
    assert ALIKE == 5
    stopper = StudyStopper(None, {})
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
    stopper = StudyStopper(None, {})
    for index in range(40):
        if index == odd:
            end(stopper, index, status, reason)
        else:
            end(stopper, index, "failed", "alike")
    assert not stopper.stop_all()


def test_only_an_end_counts():
    stopper = StudyStopper(None, {})
    for index in range(5):
        trial = record(index, "failed", "alike")
        stopper.on_event({"event": "result", "trial": index, "epoch": 1}, trial)
    assert not stopper.stop_all()


def test_the_trials_of_earlier_sessions_count():
    earlier = {index: record(index, "failed", "alike") for index in range(4)}
    earlier[4] = record(4, "running")
    stopper = StudyStopper(None, earlier)
    assert not stopper.stop_all()
    end(stopper, 4, "failed", "alike")
    assert stopper.why == "failed"


def test_a_study_that_ended_so_is_resumed_and_ends_with_the_next_one_alike():
    earlier = {index: record(index, "failed", "alike") for index in range(6)}
    still_broken, repaired = StudyStopper(None, earlier), StudyStopper(None, earlier)
    assert not still_broken.stop_all(), "a person may have repaired it"
    end(still_broken, 6, "failed", "alike")
    assert still_broken.why == "failed"
    end(repaired, 6, "finished")
    for index in range(7, 20):
        end(repaired, index, "failed", "alike")
    assert not repaired.stop_all()


def test_the_time_budget_ends_the_study_when_it_is_over_and_not_before():
    assert not StudyStopper(3600, {}).stop_all()
    assert not StudyStopper(None, {}).stop_all()
    over = StudyStopper(0.001, {})
    time.sleep(0.002)
    assert over.stop_all()
    assert over.why == "time budget"


def test_no_single_trial_is_stopped_here():
    stopper = StudyStopper(0.001, {})
    time.sleep(0.002)
    assert stopper.stop_all()
    assert stopper("trial", {"score": 0}) is False


def test_the_first_ctrl_c_ends_in_order_and_the_old_handler_comes_back(capsys):
    before = signal.getsignal(signal.SIGINT)
    stopper = StudyStopper(None, {})
    with stopper.on_ctrl_c():
        os.kill(os.getpid(), signal.SIGINT)
        assert stopper.stop_all()
    assert stopper.why == "interrupted"
    assert "Ctrl-C again: at once" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGINT) is before


def test_the_old_handler_comes_back_after_an_exception_too():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(RuntimeError), StudyStopper(None, {}).on_ctrl_c():
        raise RuntimeError
    assert signal.getsignal(signal.SIGINT) is before


def test_the_second_ctrl_c_ends_at_once():
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        with StudyStopper(None, {}).on_ctrl_c():
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 130


def test_trials_that_fail_while_it_ends_do_not_change_why():
    stopper = StudyStopper(None, {})
    stopper.why = "interrupted"
    for index in range(5):
        end(stopper, index, "failed", "alike")
    assert stopper.why == "interrupted"


def test_tunes_pickle_of_it_holds_nothing():
    assert StudyStopper(60, {0: record(0, "failed", "alike")}).__getstate__() == {}
