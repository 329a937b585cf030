"""The commands that only read studies, as a person calls them."""

import csv
import fcntl
import io
import json

import pytest

from tests.reports.written import write_study
from tune_cluster.reports.commands import diff, list_studies, show, why
from tune_cluster.reports.overview import overview_of
from tune_cluster.study.stored import read_study


@pytest.fixture
def study(tmp_path):
    folder = tmp_path / "results" / "first"
    folder.mkdir(parents=True)
    return write_study(folder)


def printed(capsys):
    return capsys.readouterr().out.splitlines()


def test_each_study_of_a_folder_is_listed_and_a_damaged_one_does_not_hide_the_others(study, capsys):
    broken = study.with_name("broken")
    broken.mkdir()
    (broken / "study.json").write_text("{")
    study.with_name("no-study").mkdir()
    list_studies(str(study.parent))
    lines = printed(capsys)
    assert lines[0].split() == ["study", "state", "best", "trials", "epochs", "created"]
    (first,) = (line for line in lines if line.startswith("first"))
    assert "interrupted" in first
    assert "score 0.5000" in first
    (second,) = (line for line in lines if line.startswith("broken"))
    assert "unreadable" in second
    assert not any(line.startswith("no-study") for line in lines)
    assert any(str(broken) in line for line in lines[3:])


def test_a_folder_without_studies_is_refused_with_the_reason(study, tmp_path):
    (tmp_path / "empty").mkdir()
    for name, reason in (("empty", "no study"), ("missing", "listed"), ("results/first", "itself")):
        with pytest.raises(ValueError, match=reason):
            list_studies(str(tmp_path / name))


def test_a_study_is_running_while_a_driver_holds_its_journal(study):
    assert overview_of(study, read_study(study)).state == "interrupted"
    with (study / "journal.jsonl").open() as journal:
        fcntl.flock(journal, fcntl.LOCK_EX)
        assert overview_of(study, read_study(study)).state == "running"
    assert overview_of(study, read_study(study)).state == "interrupted"
    with (study / "journal.jsonl").open("a") as journal:
        journal.write(json.dumps({"event": "closed", "why": "all trials"}) + "\n")
    assert overview_of(study, read_study(study)).state == "all trials"


def test_trials_are_shown_the_best_first_and_those_without_a_value_last(study, capsys):
    show(str(study))
    lines = printed(capsys)
    assert [line.split()[0] for line in lines[1:]] == ["0", "6", "2", "1", "5", "3", "4", "7"]
    assert lines[1].split()[:5] == ["0", "finished", "3", "2", "0.5000"]


@pytest.mark.parametrize(
    ("options", "trials"),
    [
        ({"sort": "learning_rate"}, [3, 7, 2, 6, 1, 5, 0, 4]),
        ({"sort": "trial", "descending": True, "top": 3}, [7, 6, 5]),
        ({"sort": "trial", "where": ("status=diverged",)}, [2, 3]),
        ({"sort": "trial", "where": ("learning_rate<=0.01", "batch_size=64")}, [1, 7]),
        ({"sort": "trial", "where": ("score>0.3", "status!=failed")}, [0, 6]),
        ({"where": ("score>2",)}, []),
    ],
)
def test_trials_are_sorted_and_filtered_by_any_column(study, capsys, options, trials):
    show(str(study), json=True, **options)
    assert [row["trial"] for row in json.loads(capsys.readouterr().out)] == trials


def test_csv_has_a_column_for_each_hyperparameter_and_metric(study, capsys):
    show(str(study), csv=True)
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == 8
    assert rows[0]["learning_rate"] == "0.1"
    assert rows[0]["score"] == rows[0]["value"] == "0.5"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"where": ("lr",)}, "--where lr"),
        ({"where": ("lr<1",)}, "no trial has lr; give one of trial, .*learning_rate"),
        ({"sort": "lr"}, "--sort: no trial has lr"),
        ({"top": 0}, "--top must be at least 1, got 0"),
        ({"json": True, "csv": True}, "not both"),
    ],
)
def test_a_wrong_option_is_refused_with_what_is_allowed(study, options, message):
    with pytest.raises(ValueError, match=message):
        show(str(study), **options)


def test_no_line_is_wider_than_80_columns_and_columns_without_room_are_named(tmp_path, capsys):
    names = [f"hyperparameter_{n}" for n in range(9)]
    write_study(tmp_path, config=dict.fromkeys(names, "x" * 100), searched=names)
    show(str(tmp_path))
    *table, last = printed(capsys)
    assert max(map(len, table)) <= 80
    assert all(name in last for name in names[1:])


def changed(study, **fields):
    about = json.loads((study / "study.json").read_text())
    (study / "study.json").write_text(json.dumps({**about, **fields}))


def test_why_shows_how_a_trial_ended_and_its_configuration(study, capsys):
    # A job of ours: its hyperparameters are those of the catalogue.
    changed(study, options={"fix": []})
    why(str(study), 1)
    text = capsys.readouterr().out
    assert text.startswith("trial 1: stopped")
    assert "rank 4 of 5" in text
    (rate,) = (line for line in text.splitlines() if line.startswith("learning_rate"))
    # Its own value, the catalogue's default, and that of the best trial.
    assert rate.split() == ["learning_rate", "0.01", "0.01", "0.1"]
    assert "trained    epoch 1" in text


def test_why_knows_no_default_of_a_script_and_repeats_no_number_of_the_trial(study, capsys):
    why(str(study), 0)
    text = capsys.readouterr().out
    assert "default" not in text
    (rate,) = (line for line in text.splitlines() if line.startswith("learning_rate"))
    assert rate.split() == ["learning_rate", "0.1", "0.1"]
    (end,) = (line for line in text.splitlines() if line.strip().startswith("finished"))
    assert end.split() == ["finished", "after", "epoch", "3"]


def test_values_that_a_population_changes_are_shown_though_it_begins_with_one(study, capsys):
    space = {"name": "space", "parameters": [], "fixed": {"learning_rate": 0.1}}
    strategy = {"searcher": "RandomSearch", "perturbed": ["learning_rate"]}
    changed(study, space=space, strategy=strategy)
    show(str(study))
    head, first, *_ = printed(capsys)
    assert (head.split()[-1], first.split()[-1]) == ("learning_rate", "0.1")
    why(str(study), 0)
    assert any(line.startswith("learning_rate") for line in printed(capsys))


def test_why_explains_a_trial_without_a_value_and_refuses_a_missing_one(study, capsys):
    why(str(study), 4)
    assert capsys.readouterr().out.startswith("trial 4: failed")
    with pytest.raises(ValueError, match="no trial 8; its trials are 0 to 7"):
        why(str(study), 8)


def test_two_studies_are_compared_by_their_results_and_settings(study, tmp_path, capsys):
    other = tmp_path / "results" / "second"
    other.mkdir()
    write_study(other, mode="min", rungs=())
    flags = json.loads((other / "study.json").read_text())["flags"]
    # How a session was started is no difference of the studies.
    changed(other, flags={**flags, "resume": "results/second", "yes": True, "trials": 9})
    diff(str(study), str(study))
    assert len(printed(capsys)) == 1
    diff(str(study), str(other))
    found = {line[:20].strip(): line.split()[-2:] for line in printed(capsys)[1:]}
    assert found["mode"] == ["max", "min"]
    assert found["best score"] == ["0.5000", "0.1000"]
    assert "metric" not in found
    assert [name for name in found if name.startswith("flags.")] == ["flags.trials"]
