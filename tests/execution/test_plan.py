"""What a person is shown before a study begins."""

import io

import pytest
from rich.console import Console

from search_spaces.schedulers.asha import ASHA
from search_spaces.schedulers.expectation import Expectation
from tests.execution.test_price import of, planned, price
from tests.search_spaces.conftest import study_of
from tune_cluster.execution.plan import price_lines, rung_table, show_line


def notes(trials, *, there=True, **options):
    asha = ASHA(**{"max_epochs": 27, **options})
    study_of(scheduler=asha, continues=there).check()
    return asha.notes(trials)


def test_with_too_few_trials_for_one_to_get_to_the_end_it_says_how_many_there_must_be():
    (note,) = notes(26)
    assert "one trial in 27 is trained for 27 epochs, of 26 perhaps none: give 27 trials" in note
    assert notes(27) == []
    assert notes(9, grace_period=3) == []
    assert notes(8, grace_period=3) != []
    assert notes(1, grace_period=27) == []


@pytest.mark.parametrize("rule", ["top", "ray"])
def test_where_the_first_trial_goes_on_there_is_nothing_to_say(rule):
    assert notes(1, rung_rule=rule) == []
    assert notes(1, rung_rule=rule, there=False) == []


def test_that_nobody_can_be_promoted_is_said_where_nobody_asked_for_it():
    (note,) = notes(1, there=False)
    assert "no checkpoint" in note


def told(directory, trainable=None, **changed):
    study = planned(directory)
    study.parts.trainable = trainable
    return [": ".join(line) for line in price_lines(study, price(**changed))]


def test_the_price_is_told_in_every_unit_that_a_person_pays_in(tmp_path):
    assert told(tmp_path, per_gpu_hour=2.5, rehearsals=[of(30.0, 10**7), of(10.0, 10**7)]) == [
        "epochs: about 360 of all trials together",
        "epoch: 10.0 s, 1.0 s a step, at the cheapest of 2 tried: quality=0.5",
        "epoch: 30.0 s, 3.0 s a step, at the dearest of 2 tried: quality=0.5",
        "time: about 1 h 00 min, 2 GPU-hours",
        "disk: 10.0 MB a checkpoint, up to 70.0 MB for all that are kept",
        "money: about 5.00, at 2.5 a GPU-hour",
    ]


def test_without_gpus_the_hours_are_those_of_cores(tmp_path):
    assert "time: about 1 h 00 min, 4 CPU-hours" in told(tmp_path, gpus=0)


def test_what_is_not_known_is_said_with_the_reason(tmp_path):
    *_, time = told(tmp_path, rehearsals=[])
    assert time.endswith("before the first trials have ended: the trainable has no measure()")

    class Measurable:
        measure = None

    *_, time = told(tmp_path, Measurable, rehearsals=[])
    assert time.endswith("before the first trials have ended: nothing to measure it on is free")


def test_a_configuration_that_failed_is_named_with_its_error(tmp_path):
    failed = of(0.0, 0, "OutOfMemoryError: 80 GB")
    lines = told(tmp_path, rehearsals=[of(1.0), failed])
    assert "NOTE: OutOfMemoryError: 80 GB where it was tried, at quality=0.5" in lines


def test_the_table_of_rungs_stands_in_columns():
    expectation = Expectation({1: 1200.0, 3: 400.4, 27: 7.0}, epochs=0.0, makespan=0.0)
    assert [text for _, text in rung_table(expectation)] == [
        "epoch                      1    3  27",
        "trials that get there  1,200  400   7",
    ]


def shown(terminal, **options):
    console = Console(file=io.StringIO(), width=40, force_terminal=terminal, color_system=None)
    show_line(console, "note", "what is longer than the terminal is wide, by far", **options)
    return console.file.getvalue().splitlines()


def test_on_a_terminal_a_long_line_stays_in_its_column():
    first, second = shown(terminal=True)
    assert first.rstrip() == "note      what is longer than the"
    assert second.rstrip() == "          terminal is wide, by far"


@pytest.mark.parametrize(("terminal", "options"), [(False, {}), (True, {"typed": True})])
def test_what_is_copied_and_what_goes_to_a_file_is_in_one_line(terminal, options):
    (line,) = shown(terminal, **options)
    assert line == "note      what is longer than the terminal is wide, by far"
