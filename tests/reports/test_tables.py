"""The table of a study's trials."""

import csv

from search_spaces.objective import Objective
from tests.journals import event_of, state_of
from tune_cluster.reports.tables import write_table


def read_table(path):
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_the_table_has_a_line_for_each_trial_with_its_best_epoch(tmp_path):
    configs = ({"a": "x, y", "b": 1}, {"a": "z", "b": 2}, {"b": 3})
    values = ((0, 0.5, 0.1), (0, 0.9, 0.2), (0, 0.9, 0.3), (1, 0.2, None))
    events = [event_of("suggested", trial, config=config) for trial, config in enumerate(configs)]
    for epoch, (trial, score, loss) in zip((1, 2, 3, 1), values, strict=True):
        metrics = {"epoch": epoch, "score": score, "loss": loss}
        events.append(event_of("result", trial, epoch=epoch, metrics=metrics))
    events.append(event_of("ended", 0, status="finished", epoch=3))
    events.append(event_of("ended", 2, status="failed", log="first line\nlast line"))
    write_table(tmp_path / "trials.csv", state_of(events))
    assert read_table(tmp_path / "trials.csv") == [
        ["trial", "status", "epochs_run", "best_epoch", "a", "b", "loss", "score", "log"],
        ["0", "finished", "3", "2", "x, y", "1", "0.2", "0.9", ""],
        ["1", "pending", "1", "1", "z", "2", "", "0.2", ""],
        ["2", "failed", "0", "", "", "3", "", "", "first line\nlast line"],
    ]
    write_table(tmp_path / "trials.csv", state_of(events, Objective("loss", "min")))
    assert read_table(tmp_path / "trials.csv")[1][3] == "1"


def test_no_two_columns_have_the_same_name(tmp_path):
    # Read by name, the second would hide the first: of a diverged trial, its configuration.
    events = [
        event_of("suggested", 0, config={"learning_rate": 0.1, "epochs": 9}),
        event_of("suggested", 1, config={"learning_rate": 0.2, "epochs": 9}),
        event_of("ended", 0, status="diverged"),
        event_of("result", 1, epoch=1, metrics={"learning_rate": 0.2}),
    ]
    write_table(tmp_path / "trials.csv", state_of(events))
    header, diverged, _ = read_table(tmp_path / "trials.csv")
    assert len(header) == len(set(header))
    assert diverged[header.index("learning_rate")] == "0.1"


def test_a_study_without_trials_has_an_empty_table(tmp_path):
    write_table(tmp_path / "trials.csv", state_of())
    assert len(read_table(tmp_path / "trials.csv")) == 1
