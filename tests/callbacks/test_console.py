"""Console output: one line per event, the status, the remaining time."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from search_spaces.objective import Objective
from search_spaces.values import short
from tests.journals import Happens, event_of, typed
from tune_cluster.callbacks.console import STATUS_LINES, ConsoleOutput
from tune_cluster.duration import duration
from tune_cluster.study.events import Closed, Session, SlotsChanged


class Screen:
    """A console over some trials, with its output."""

    def __init__(self, total=64, mode="max", is_terminal=False, earlier=(), **options):
        self.file = io.StringIO()
        console = Console(file=self.file, width=160, force_terminal=is_terminal)
        config = {"learning_rate": 0.0123456, "batch_size": 32, "seed": 99}
        self.study = Happens(objective=Objective("score", mode), config=config)
        for event in earlier:
            self.study.tell(event)
        options = {"not_searched": ["seed"], **options}
        self.output = ConsoleOutput(console, self.study.state, total=total, **options)
        self.study.listeners.append(self.output)
        self.study.tell(Session())

    def tell(self, trial, event, **rest):
        self.study.tell(event_of(event, trial, **rest))

    def result(self, trial, epoch, score):
        self.tell(trial, "result", epoch=epoch, metrics={"score": score})

    def end(self, trial, status="finished", **rest):
        if self.study.trials.get(trial) and self.study.trials[trial].epochs:
            rest["epoch"] = self.study.trials[trial].epochs
        self.tell(trial, "ended", status=status, **rest)

    def close(self):
        self.study.tell(Closed(why="all trials"))

    @property
    def lines(self):
        return self.file.getvalue().splitlines()


def line_of(event):
    return typed(event).line("score")


DECISION = {"rung": 3, "value": 0.5, "cutoff": 0.75, "rank": 4, "of": 9}


def test_in_a_file_there_are_plain_lines_and_nothing_else():
    screen = Screen()
    screen.tell(0, "started")
    screen.tell(0, "checkpoint", epoch=1, path="trials/0000/checkpoint_000001")
    screen.result(0, 3, 0.5)
    screen.tell(0, "decision", **DECISION, stop=True)
    screen.end(0, "stopped", rung=3)
    screen.end(1, "diverged", reason="train_loss is nan")
    screen.end(2, "failed", reason="ValueError: [red]no[/red] such thing")
    screen.tell(3, "restored", epoch=2, unreadable=[])
    screen.end(3)
    screen.close()
    assert screen.lines == [
        "new best   trial 0: score 0.5000 after epoch 3 (learning_rate=0.01235, batch_size=32)",
        "stopped    trial 0 at rung 3: score 0.5000, cut-off 0.7500, rank 4 of 9",
        "diverged   trial 1 in epoch 1: train_loss is nan",
        "failed     trial 2 in epoch 1: ValueError: [red]no[/red] such thing",
        "restored   trial 3 at epoch 2",
        "finished   trial 3 after epoch 1",
    ]


@pytest.mark.parametrize(
    ("fixed", "shown"),
    [
        (["batch_size"], " (learning_rate=0.01235)"),
        (["batch_size", "learning_rate"], ""),
    ],
)
def test_a_new_best_does_not_repeat_what_all_trials_have_in_common(fixed, shown):
    screen = Screen(not_searched=["seed", *fixed])
    screen.result(0, 3, 0.5)
    assert screen.lines == [f"new best   trial 0: score 0.5000 after epoch 3{shown}"]


def test_a_stop_before_there_is_a_cutoff_and_a_later_promotion_are_a_line_each():
    decision = {**DECISION, "cutoff": None, "rank": 1, "of": 1, "stop": True}
    stopped = line_of({"event": "decision", "trial": 0, **decision})
    assert stopped == "stopped    trial 0 at rung 3: score 0.5000, no cut-off yet, rank 1 of 1"
    promotion = {"rung": 3, "value": 0.5, "rank": 2, "of": 6}
    promoted = line_of({"event": "promoted", "trial": 0, **promotion})
    assert promoted == "promoted   trial 0 from rung 3: score 0.5000, now rank 2 of 6"


def test_how_many_trials_ran_at_once_before_a_change_is_said_with_it():
    screen = Screen(concurrent=2)
    screen.study.tell(SlotsChanged(trials=1, reason="trial 0 was killed 2 times in epoch 1"))
    screen.study.tell(SlotsChanged(trials=3))
    assert screen.lines == [
        "width      1 trial at once, 2 before: trial 0 was killed 2 times in epoch 1",
        "width      3 trials at once, 1 before: nodes have joined or left",
    ]


def test_in_a_file_the_status_comes_no_second_time_when_a_promoted_trial_ends_again():
    screen = Screen(total=4)
    for trial in range(3):
        screen.end(trial, "stopped")
    screen.tell(1, "promoted", rung=1, value=0.5, rank=1, of=3)
    screen.end(1, "stopped")
    screen.end(3, "stopped")
    shown = [line.split(" trials")[0] for line in screen.lines if " of 4 trials, " in line]
    assert shown == ["1 of 4", "2 of 4", "3 of 4", "4 of 4"]


@pytest.mark.parametrize(
    "event",
    [
        {"event": "started"},
        {"event": "result", "epoch": 1, "metrics": {"score": 1.0}},
        {"event": "checkpoint", "epoch": 1, "path": "p"},
        {"event": "decision", **DECISION, "stop": False},
        {"event": "ended", "status": "stopped", "rung": 1, "epoch": 1},
    ],
)
def test_ordinary_events_print_no_line(event):
    assert line_of({**event, "trial": 0}) == ""


def test_an_exploit_is_one_line_with_both_trials():
    changes = {"learning_rate": [0.0123456, 0.02], "seed": [1, 2]}
    event = {"event": "exploited", "trial": 1, "epoch": 4, "donor": 3, "changes": changes}
    line = line_of({**event, "value": 0.5, "donor_value": 0.75})
    assert line == (
        "exploited  trial 1 (score 0.5000) after epoch 4: weights of trial 3 (0.7500), "
        "learning_rate 0.01235 -> 0.02"
    )


def test_an_exploit_without_the_donors_weights_is_one_line():
    event = {"event": "not_exploited", "trial": 1, "epoch": 4, "donor": 3, "reason": "why"}
    line = line_of(event)
    assert line == (
        "kept       trial 1 after epoch 4: its own weights, those of trial 3 are not available: why"
    )


def test_a_new_best_is_shown_with_what_its_epoch_was_trained_with():
    screen = Screen()
    screen.result(0, 1, 0.1)
    screen.result(1, 1, 0.2)
    changes = {"learning_rate": [0.0123456, 0.5]}
    screen.tell(0, "exploited", epoch=1, donor=1, value=0.1, donor_value=0.2, changes=changes)
    screen.result(0, 2, 0.3)
    assert screen.lines[-1].endswith("after epoch 2 (learning_rate=0.5, batch_size=32)")


def test_a_checkpoint_that_cannot_be_read_is_named():
    event = {"event": "restored", "trial": 1, "epoch": 2, "unreadable": ["checkpoint_000003", "x"]}
    line = line_of(event)
    assert line == "restored   trial 1 at epoch 2; unreadable: checkpoint_000003, x"


def test_epochs_that_are_lost_are_told_with_the_checkpoint_that_was_not_read():
    event = {"event": "epochs_lost", "trial": 1, "first": 1, "last": 3}
    assert "trial 1: epochs 1 to 3" in line_of(event)
    line = line_of({**event, "unread": 3})
    assert "tune.get_checkpoint()" in line
    assert "of epoch 3" in line


def test_the_best_is_another_when_its_epochs_are_lost():
    screen = Screen()
    screen.result(0, 1, 0.3)
    screen.result(1, 1, 0.9)
    assert "best 0.9000 (trial 1)" in screen.output.status()
    screen.tell(1, "epochs_lost", first=1, last=1)
    assert "best 0.3000 (trial 0)" in screen.output.status()


def test_a_metric_that_is_left_out_is_named_with_its_type():
    event = {"event": "left_out", "trial": 1, "metrics": {"note": "str"}}
    assert line_of(event).endswith("note (str)")


@pytest.mark.parametrize(("mode", "best"), [("max", [0.3, 0.5, 0.6]), ("min", [0.3, 0.2, 0.1])])
def test_a_new_best_is_said_once_and_an_equal_one_is_none(mode, best):
    screen = Screen(mode=mode)
    for trial, score in enumerate([0.3, 0.5, 0.2, 0.2, 0.5, 0.6, 0.1]):
        screen.result(trial, 1, score)
        screen.result(trial, 2, score)
    assert [float(line.split("score ")[1].split()[0]) for line in screen.lines] == best


def test_a_trial_without_a_value_is_no_best():
    screen = Screen()
    screen.result(0, 1, None)
    assert screen.lines == []
    assert screen.output.status() == "1 pending"


def test_the_best_of_earlier_sessions_is_known():
    known = event_of("result", epoch=1, metrics={"score": 0.9})
    screen = Screen(earlier=[known, event_of("ended", status="finished")])
    assert "best 0.9000 (trial 0)" in screen.output.status()
    screen.result(1, 1, 0.8)
    assert screen.lines == []


def test_the_status_counts_trials_and_names_the_best():
    screen = Screen(seconds=0.0)
    for trial in range(3):
        screen.tell(trial, "started")
    screen.result(1, 1, 0.25)
    screen.end(2, "stopped")
    status = screen.output.status()
    assert status.startswith("2 running · 1 stopped · best 0.2500 (trial 1) · ")
    assert status.endswith(" s left")


def test_the_status_names_the_best_of_equal_trials_that_the_study_ends_with():
    screen = Screen()
    screen.result(1, 1, 0.5)
    screen.result(0, 1, 0.5)
    assert screen.study.state.best.trial.index == 0
    assert "best 0.5000 (trial 0)" in screen.output.status()


@given(total=st.integers(1, 300))
def test_in_a_file_the_status_comes_a_few_times_over_a_whole_study(total):
    screen = Screen(total=total)
    for trial in range(total):
        screen.end(trial, "stopped")
    shown = [line for line in screen.lines if f" of {total} trials, " in line]
    assert 1 <= len(shown) <= STATUS_LINES
    assert len(shown) == len(screen.lines)
    assert total < STATUS_LINES or len(shown) >= STATUS_LINES / 2


def test_the_time_left_is_unknown_without_an_estimate_before_a_trial_has_ended():
    screen = Screen(total=4)
    assert screen.output.remaining() is None
    screen.tell(0, "started")
    assert "left" not in screen.output.status()
    screen.end(0)
    assert screen.output.remaining() >= 0


def test_the_time_left_is_the_estimate_at_first_and_nothing_at_the_end():
    screen = Screen(total=4, seconds=1e6)
    left = [screen.output.remaining()]
    for trial in range(4):
        screen.end(trial)
        left.append(screen.output.remaining())
    assert left[0] == pytest.approx(1e6, rel=0.01)
    assert left == sorted((seconds for seconds in left if seconds is not None), reverse=True)
    # Half of the trials ended in next to no time: half of the weight is theirs.
    assert left[2] == pytest.approx(0.5e6, rel=0.01)
    assert left[4] == 0


def test_the_time_left_counts_the_trials_of_this_session_only():
    earlier = [event_of("ended", index, status="finished") for index in range(30)]
    screen = Screen(total=32, seconds=1e6, earlier=earlier)
    assert screen.output.remaining() == pytest.approx(1e6, rel=0.01)
    screen.end(30)
    assert screen.output.remaining() == pytest.approx(0.5e6, rel=0.01)


def test_a_resumed_study_that_begins_with_a_promotion_has_no_less_than_no_time_left():
    for seconds in (None, 60.0):
        stopped = [event_of("ended", index, status="stopped") for index in range(2)]
        screen = Screen(total=4, earlier=stopped, seconds=seconds)
        screen.tell(1, "promoted", rung=1, value=0.5, rank=1, of=2)
        left = screen.output.remaining()
        assert left is None if seconds is None else 0 <= left <= seconds


def test_a_study_with_nothing_left_to_run_has_no_time_left():
    assert Screen(total=1, earlier=[event_of("ended", status="finished")]).output.remaining() == 0


def test_an_estimate_that_was_too_short_never_goes_below_nothing():
    assert Screen(total=4, seconds=0.0).output.remaining() == 0


def test_on_a_terminal_the_status_is_under_the_lines_and_goes_away():
    screen = Screen(total=4, is_terminal=True)
    screen.result(0, 1, 0.5)
    screen.end(0)
    screen.close()
    shown = screen.file.getvalue()
    assert "new best" in shown
    assert "1/4" in shown
    assert "1 finished · best 0.5000 (trial 0)" in shown
    assert not any(" of 4 trials, " in line for line in screen.lines)
    assert shown.rstrip("\n").endswith("\x1b[?25h"), "the cursor is back"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 s"),
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (60, "1 min 00 s"),
        (425, "7 min 05 s"),
        (3599.4, "59 min 59 s"),
        (3599.6, "1 h 00 min"),
        (7800, "2 h 10 min"),
        (100 * 3600, "100 h 00 min"),
    ],
)
def test_a_duration_is_written_as_a_person_says_it(seconds, shown):
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.000123456, "0.0001235"), (64, "64"), ("sgd", "sgd"), ((512, 256), "(512, 256)")],
)
def test_a_value_is_short(value, shown):
    assert short(value) == shown
