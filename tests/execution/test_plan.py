"""The plan that is shown before a study begins."""

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

from search_spaces.objective import Expectation
from search_spaces.schedulers.asha import ASHA
from tests.conftest import PATIENCE, ROOT, journal_of
from tests.execution.test_cost_estimate import estimate, of, planned
from tests.in_process import Scored, names
from tests.search_spaces.conftest import study_of
from tune_cluster.execution.options import Options
from tune_cluster.execution.plan import (
    UNASKED_SECONDS,
    confirmed,
    cost_lines,
    rung_table,
    show_line,
)
from tune_cluster.execution.ray_tune.settings import TUNE_FOLDER
from tune_cluster.execution.rehearsal import Rehearsal
from tune_cluster.execution.resume import nothing_left
from tune_cluster.study.directory import StudyDirectory


def notes(trials, *, there=True, **options):
    asha = ASHA(**{"max_epochs": 27, **options})
    study_of(scheduler=asha, continues=there).check()
    return asha.notes(trials)


def test_with_too_few_trials_for_the_last_rung_a_note_gives_the_number_needed():
    (note,) = notes(26)
    assert "one in 27 trials for all 27 epochs, of 26 perhaps none: give 27 trials" in note
    assert notes(27) == []
    assert notes(9, grace_period=3) == []
    assert notes(8, grace_period=3) != []
    assert notes(1, grace_period=27) == []


@pytest.mark.parametrize("rule", ["top", "ray"])
def test_rules_that_continue_the_first_trial_give_no_note_on_the_number_of_trials(rule):
    assert notes(1, rung_rule=rule) == []
    assert notes(1, rung_rule=rule, there=False) == []


def test_a_trainable_that_does_not_resume_gives_a_note_that_no_trial_is_promoted():
    (note,) = notes(1, there=False)
    assert "does not resume" in note


def shown_lines(directory, trainable=None, **changed):
    study = planned(directory, trainable=trainable or Scored)
    return [": ".join(line) for line in cost_lines(study, estimate(**changed))]


def test_the_cost_is_shown_in_epochs_time_gpu_hours_disk_and_money(tmp_path):
    assert shown_lines(
        tmp_path, per_gpu_hour=2.5, rehearsals=[of(30.0, 10**7), of(10.0, 10**7)]
    ) == [
        "epochs: about 360 of all trials together",
        "epoch: 10.0 s, 1.0 s a step, at the cheapest of 2 tried: quality=0.5",
        "epoch: 30.0 s, 3.0 s a step, at the dearest of 2 tried: quality=0.5",
        "time: about 1 h 00 min, 2 GPU-hours",
        "disk: 10.0 MB a checkpoint, up to 70.0 MB for all that are kept",
        "money: about 5.00, at 2.5 a GPU-hour",
    ]


def test_without_gpus_the_cost_is_shown_in_cpu_hours(tmp_path):
    assert "time: about 1 h 00 min, 4 CPU-hours" in shown_lines(tmp_path, gpus=0)


def test_an_unknown_time_is_shown_with_the_reason(tmp_path):
    *_, time = shown_lines(tmp_path, rehearsals=[])
    assert "before the first trials have ended" in time


def test_a_step_of_unknown_length_is_not_shown(tmp_path):
    tried = Rehearsal({}, epoch_seconds=2.0)
    assert "epoch: 2.0 s" in shown_lines(tmp_path, rehearsals=[tried])


def test_a_configuration_that_failed_is_named_with_its_error(tmp_path):
    failed = of(0.0, 0, "OutOfMemoryError: 80 GB")
    lines = shown_lines(tmp_path, rehearsals=[of(1.0), failed])
    assert "NOTE: OutOfMemoryError: 80 GB where it was tried, at quality=0.5" in lines


def test_the_table_of_rungs_is_aligned_in_columns():
    expectation = Expectation({1: 1200.0, 3: 400.4, 27: 7.0}, epochs=0.0, makespan=0.0)
    assert [text for _, text in rung_table(expectation)] == [
        "epoch                      1    3  27",
        "trials that get there  1,200  400   7",
    ]


def shown(terminal, **options):
    shown = io.StringIO()
    console = Console(file=shown, width=40, force_terminal=terminal, color_system=None)
    show_line(console, "note", "what is longer than the terminal is wide, by far", **options)
    return shown.getvalue().splitlines()


def test_on_a_terminal_a_long_line_stays_in_its_column():
    first, second = shown(terminal=True)
    assert first.rstrip() == "note      what is longer than the"
    assert second.rstrip() == "          terminal is wide, by far"


@pytest.mark.parametrize(("terminal", "options"), [(False, {}), (True, {"typed": True})])
def test_commands_to_copy_and_lines_written_to_a_file_are_not_wrapped(terminal, options):
    (line,) = shown(terminal, **options)
    assert line == "note      what is longer than the terminal is wide, by far"


JOB = """
from ray import tune

from search_spaces.catalogue import LEARNING_RATE
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.space import Space
from tune_cluster import TuneConfig, Tuner, main


def train(config):
    tune.report({"val_loss": config["learning_rate"]})


def job(options):
    \"\"\"Which is the lowest?\"\"\"
    strategy = RandomSearch(Space("own", (LEARNING_RATE,)), seed=0)
    return Tuner(
        train,
        tune_config=TuneConfig(metric="val_loss", mode="min", search_alg=strategy),
    )


main(job)
"""


@pytest.fixture
def at_terminal(cluster_address, tmp_path):
    """Runs a job at a terminal, and types `answer` when it asks; `(exit code, screen)`."""
    (tmp_path / "job.py").write_text(JOB)

    def run(answer, *arguments):
        words = [sys.executable, "job.py", "--address", cluster_address, "--trials", "2"]
        if "--resume" not in arguments:
            # By the estimate from a step it takes hours, or no question is asked.
            words += ["--max-epochs", "100000000"]
        child, terminal = pty.fork()
        if child == 0:
            os.chdir(tmp_path)
            # A dumb terminal has no colours, which would separate the words.
            os.environ.update(PYTHONPATH=str(ROOT), TERM="dumb")
            os.execv(sys.executable, [*words, *arguments])
        screen, asked = b"", False
        try:
            while True:
                ready, _, _ = select.select([terminal], [], [], PATIENCE)
                assert ready, f"it waits after {screen.decode()}"
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
        pytest.param(b"n\r", id="no", marks=pytest.mark.long),
        pytest.param(b"\x03", id="ctrl-c"),
        pytest.param(b"\r", id="return", marks=pytest.mark.long),
        pytest.param(b"\x04", id="ctrl-d", marks=pytest.mark.long),
    ],
)
def test_a_study_declined_at_the_prompt_leaves_its_name_free(at_terminal, tmp_path, answer):
    code, screen = at_terminal(answer, "--name", "mine")
    assert code == 130, screen
    assert "start? [y/n]" in screen
    assert "Traceback" not in screen
    assert names(tmp_path / "results") == []


@pytest.mark.long
def test_a_confirmed_study_starts_and_yes_skips_the_question(at_terminal, tmp_path):
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
def test_only_a_long_study_at_a_terminal_without_yes_asks_for_confirmation():
    long = 2 * UNASKED_SECONDS
    assert confirmed(console(), Options(yes=True), long)
    assert confirmed(console(), Options(smoke_test=True), None)
    assert confirmed(console(), Options(), UNASKED_SECONDS / 2)
    assert confirmed(console(terminal=False), Options(), long), "nobody would see the question"
    assert not confirmed(console(), Options(), long)


def test_without_a_terminal_as_standard_input_no_confirmation_is_asked_for(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("n\n")
    with (tmp_path / "file").open() as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert confirmed(console(), Options(), None)
    # As under `<&-`.
    monkeypatch.setattr("sys.stdin", None)
    assert confirmed(console(), Options(), None)


def new_study(tmp_path):
    with ExitStack() as held:
        return StudyDirectory.create(str(tmp_path), "mine", held)


def interrupted(directory):
    """A study that is interrupted when its Tuner has been built."""
    with nothing_left(directory):
        (directory.path / TUNE_FOLDER).mkdir(exist_ok=True)
        (directory.path / TUNE_FOLDER / "state").touch()
        raise KeyboardInterrupt


def test_a_new_study_that_is_interrupted_before_it_starts_leaves_no_file(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        interrupted(new_study(tmp_path))
    assert names(tmp_path) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_new_study_that_is_signalled_before_it_starts_leaves_no_file(tmp_path, number):
    def wait():
        with nothing_left(new_study(tmp_path)):
            os.kill(os.getpid(), number)

    with pytest.raises(SystemExit) as ended:
        wait()
    assert ended.value.code == 128 + number
    assert names(tmp_path) == []


def test_an_existing_study_stays_as_it_was_when_its_start_is_interrupted(tmp_path):
    study = tmp_path / "mine"
    study.mkdir()
    (study / "journal.jsonl").touch()
    with pytest.raises(KeyboardInterrupt):
        interrupted(StudyDirectory(study))
    assert names(study) == ["journal.jsonl"]


def test_a_tune_folder_of_another_process_stays_when_the_start_is_interrupted(tmp_path):
    study = tmp_path / "mine"
    (study / TUNE_FOLDER).mkdir(parents=True)
    with pytest.raises(KeyboardInterrupt):
        interrupted(StudyDirectory(study))
    assert names(study / TUNE_FOLDER) == ["state"]
