"""Signals: an orderly end, an immediate end, and restored handlers afterwards."""

import os
import pty
import signal
import subprocess
import sys
import textwrap
import time

import pytest

from tests.callbacks.test_stopping import stopper_of
from tests.conftest import ROOT
from tune_cluster.execution import signals
from tune_cluster.execution.signals import signals_handled


def exit_code_of(lines):
    """Return a process that handles signals and runs these lines, which may use `kill(number)`."""
    head = """
        import os, signal, time
        from tests.callbacks.test_stopping import stopper_of
        from tune_cluster.execution import signals
        def kill(number):
            os.kill(os.getpid(), number)
    """
    script = textwrap.dedent(head) + textwrap.dedent(lines)
    done = subprocess.run(
        [sys.executable, "-c", script], stderr=subprocess.DEVNULL, check=False, cwd=ROOT
    )
    return done.returncode


@pytest.mark.parametrize(
    ("number", "why", "said"),
    [
        (signal.SIGINT, "interrupted", "Ctrl-C again: at once"),
        (signal.SIGTERM, "terminated", "within 25 s"),
    ],
)
def test_the_first_signal_ends_the_study_in_order_and_restores_the_old_handlers(
    capfd, number, why, said
):
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    stopper = stopper_of()
    with signals_handled(stopper):
        os.kill(os.getpid(), number)
        assert stopper.stops()
    assert stopper.why == why
    assert said in capfd.readouterr().err
    assert before == [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]


def test_an_exception_restores_the_old_handlers():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(RuntimeError), signals_handled(stopper_of()):
        raise RuntimeError
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_second_ctrl_c_ends_at_once_after_sigterm_too():
    for first in ("SIGINT", "SIGTERM"):
        lines = f"""
            with signals.signals_handled(stopper_of()):
                kill(signal.{first})
                kill(signal.SIGINT)
        """
        assert exit_code_of(lines) == 130


def test_a_second_sigterm_changes_nothing():
    lines = """
        stopper = stopper_of()
        with signals.signals_handled(stopper):
            kill(signal.SIGTERM)
            kill(signal.SIGTERM)
        assert stopper.why == "terminated"
    """
    assert exit_code_of(lines) == 0


def test_a_process_that_outlives_the_grace_after_sigterm_is_ended():
    lines = """
        signals.TERMINATION_GRACE_SECONDS = 0.1
        with signals.signals_handled(stopper_of()):
            kill(signal.SIGTERM)
            time.sleep(60)
    """
    assert exit_code_of(lines) == 143


def test_a_study_that_ends_within_the_grace_is_not_ended_by_it(monkeypatch):
    monkeypatch.setattr(signals, "TERMINATION_GRACE_SECONDS", 0.1)
    ended = []
    monkeypatch.setattr(os, "_exit", ended.append)
    with signals_handled(stopper_of()):
        os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.3)
    assert ended == []


def test_a_closing_terminal_ends_the_study_in_order_and_nothing_is_written_to_it():
    ours, theirs = pty.openpty()
    lines = """
        stopper = stopper_of()
        with signals.signals_handled(stopper):
            # In one piece: its reader closes the terminal as soon as it has that.
            os.write(1, b"ready")
            while not stopper.why:
                time.sleep(0.01)
            print("to nobody", flush=True)
        os._exit(7 if stopper.why == "terminated" else 8)
    """
    head = "import os, time\nfrom tests.callbacks.test_stopping import stopper_of\n"
    head += "from tune_cluster.execution import signals\n"
    process = subprocess.Popen(
        [sys.executable, "-c", head + textwrap.dedent(lines)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        cwd=ROOT,
    )
    os.close(theirs)
    assert os.read(ours, 5) == b"ready"
    os.close(ours)
    process.send_signal(signal.SIGHUP)
    assert process.wait(timeout=30) == 7


def test_under_nohup_a_closing_terminal_is_ignored():
    lines = """
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        stopper = stopper_of()
        with signals.signals_handled(stopper):
            kill(signal.SIGHUP)
        assert stopper.why == ""
    """
    assert exit_code_of(lines) == 0
