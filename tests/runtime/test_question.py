"""The question before a study, at a real terminal, and what is left where the answer is no."""

import io
import os
import pty
import select
import signal
import sys
import time
from contextlib import ExitStack, closing

import pytest
from rich.console import Console

from tests.conftest import ROOT, journal_of
from tests.runtime.conftest import names
from tune_jobs.runtime.flags import Flags
from tune_jobs.runtime.home import Home, new_home
from tune_jobs.runtime.question import UNASKED_SECONDS, agreed, nothing_left
from tune_jobs.runtime.study import TUNE_FOLDER

JOB = """
from ray import tune

from search_spaces.catalogue import LEARNING_RATE
from search_spaces.random_search import RandomSearch
from search_spaces.space import Space
from tune_jobs.runtime.launch import launch


def train(config):
    tune.report({"val_loss": config["learning_rate"]})


def job(study):
    \"\"\"Which is the lowest?\"\"\"
    return tune.Tuner(
        study.trainable(train),
        tune_config=study.tune_config(RandomSearch(Space("own", (LEARNING_RATE,)), seed=0)),
        run_config=study.run_config(),
    )


launch(job, metric="val_loss", mode="min")
"""


@pytest.fixture
def at_terminal(cluster_address, tmp_path):
    """Runs a job that nobody can tell the price of at a terminal, and types `answer` when it asks;
    `(exit code, screen)`."""
    (tmp_path / "job.py").write_text(JOB)

    def run(answer, *arguments):
        words = [sys.executable, "job.py", "--address", cluster_address, "--trials", "2"]
        child, terminal = pty.fork()
        if child == 0:
            os.chdir(tmp_path)
            # A dumb terminal has no colours, which would stand between the words.
            os.environ.update(PYTHONPATH=str(ROOT), TERM="dumb")
            os.execv(sys.executable, [*words, *arguments])
        screen, asked = b"", False
        try:
            while True:
                assert select.select([terminal], [], [], 60)[0], f"it waits after {screen.decode()}"
                try:
                    read = os.read(terminal, 4096)
                except OSError:
                    # Linux: the other end is closed.
                    break
                screen += read
                if not asked and b"start? [y/n]" in screen:
                    asked = True
                    # As a person does: a Ctrl-C between Python's prompt and its read may be lost.
                    time.sleep(1)
                    os.write(terminal, answer)
            _, status = os.waitpid(child, 0)
        except BaseException:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise
        finally:
            os.close(terminal)
        return os.waitstatus_to_exitcode(status), screen.decode()

    return run


@pytest.mark.slow
@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"n\r", id="no"),
        pytest.param(b"\x03", id="ctrl-c"),
        pytest.param(b"\r", id="return", marks=pytest.mark.long),
        pytest.param(b"\x04", id="ctrl-d", marks=pytest.mark.long),
    ],
)
def test_a_study_that_is_not_begun_leaves_its_name_free(at_terminal, tmp_path, answer):
    code, screen = at_terminal(answer, "--name", "mine")
    assert code == 130, screen
    assert "start? [y/n]" in screen
    assert "Traceback" not in screen
    assert names(tmp_path / "results") == []


@pytest.mark.long
def test_a_study_that_is_agreed_to_begins_and_is_not_asked_about_with_yes(at_terminal, tmp_path):
    code, screen = at_terminal(b"y\r", "--name", "mine")
    assert code == 0, screen
    assert journal_of(tmp_path / "results" / "mine")[-1]["why"] == "all trials"
    code, screen = at_terminal(b"n\r", "--resume", "results/mine", "--trials", "3")
    assert code == 130, "what is added is asked about"
    assert TUNE_FOLDER not in names(tmp_path / "results" / "mine")
    code, screen = at_terminal(b"n\r", "--resume", "results/mine", "--trials", "3", "--yes")
    assert code == 0, screen
    assert "start?" not in screen


@pytest.fixture
def nobody_agrees(monkeypatch):
    """A terminal where a no has been typed already."""
    master, slave = pty.openpty()
    os.write(master, b"n\n")
    with closing(os.fdopen(slave)) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        yield
    os.close(master)


def console(terminal=True):
    return Console(file=io.StringIO(), force_terminal=terminal)


@pytest.mark.usefixtures("nobody_agrees")
def test_who_is_asked():
    long = 2 * UNASKED_SECONDS
    assert agreed(console(), Flags(yes=True), long)
    assert agreed(console(), Flags(smoke_test=True), None)
    assert agreed(console(), Flags(), UNASKED_SECONDS / 2)
    assert agreed(console(terminal=False), Flags(), long), "nobody would see the question"
    assert not agreed(console(), Flags(), long)


def test_without_a_terminal_to_answer_at_nobody_is_asked(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("n\n")
    with (tmp_path / "file").open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert agreed(console(), Flags(), None)


def new_study(tmp_path):
    with ExitStack() as held:
        return new_home(str(tmp_path), "mine", held)


def interrupted(home):
    """A study that is interrupted when its Tuner has been built."""
    with nothing_left(home):
        (home.directory / TUNE_FOLDER).mkdir(exist_ok=True)
        (home.directory / TUNE_FOLDER / "state").touch()
        raise KeyboardInterrupt


def test_of_a_study_that_was_not_begun_nothing_is_left(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        interrupted(new_study(tmp_path))
    assert names(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_nothing_either(tmp_path, number):
    def wait():
        with nothing_left(new_study(tmp_path)):
            os.kill(os.getpid(), number)

    with pytest.raises(SystemExit) as ended:
        wait()
    assert ended.value.code == 128 + number
    assert names(tmp_path) == []


def test_a_study_that_is_there_already_is_what_it_was(tmp_path):
    study = tmp_path / "mine"
    study.mkdir()
    (study / "journal.jsonl").touch()
    with pytest.raises(KeyboardInterrupt):
        interrupted(Home(study))
    assert names(study) == ["journal.jsonl"]


def test_what_another_process_has_begun_is_not_touched(tmp_path):
    study = tmp_path / "mine"
    (study / TUNE_FOLDER).mkdir(parents=True)
    with pytest.raises(KeyboardInterrupt):
        interrupted(Home(study))
    assert names(study / TUNE_FOLDER) == ["state"]
