"""Scripts in the style of Ray Tune's documentation move by their import line alone."""

import csv
import json
import runpy
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.journals import read_events
from tune_cluster import cli
from tune_cluster.study.journal import JOURNAL

EXAMPLE = ROOT / "examples" / "ray_tune_script.py"
SCRIPTS = ROOT / "tests" / "ray_scripts"

pytestmark = pytest.mark.slow


@pytest.fixture
def run_script(cluster_address, tmp_path, monkeypatch, capsys):
    """Run a script with another import line; return the named objects, its events, its output."""

    def run(name):
        script = (SCRIPTS / f"{name}.py").read_text()
        assert script.count("from ray import tune\n") == 1
        script = script.replace("from ray import tune\n", "import tune_cluster as tune\n")
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [f"{name}.py"])
        (tmp_path / f"{name}.py").write_text(script)
        named: dict[str, Any] = {"__name__": "__main__"}
        exec(compile(script, f"{name}.py", "exec"), named)
        results = named["results"]
        folder = Path(results.experiment_path)
        assert results.complete
        assert results.num_terminated + results.num_errors == len(results)
        with (folder / "trials.csv").open() as file:
            assert len(list(csv.DictReader(file))) == len(results)
        assert results.get_dataframe().shape[0] == len(results)
        assert named["best"].metrics["epoch"] >= 1
        return named, read_events(folder / JOURNAL), capsys.readouterr().out

    return run


def of_kind(events, name):
    return [event for event in events if event["event"] == name]


def test_the_asha_of_ray_is_replaced_by_asha_with_the_same_rungs(run_script, monkeypatch, capsys):
    named, events, output = run_script("asha")
    results, best = named["results"], named["best"]
    assert "ASHAScheduler is ASHA of search_spaces here, with rungs after epochs 1, 2, 4" in output
    assert len(results) == 5
    assert best.metrics["mean_accuracy"] == max(
        result.metrics["mean_accuracy"] for result in results
    )
    assert best.config["optimizer"]["name"] == "sgd"
    assert of_kind(events, "decision")
    # The script reads no flags: the command that resumes its study hands them to `fit`.
    folder = Path(results.experiment_path)
    for words, said in {
        ("resume", str(folder)): "ended by       all trials",
        ("evaluate", str(folder)): "main(job)",
        ("next", str(folder)): "asha.py runs it from Python",
    }.items():
        monkeypatch.setattr(sys, "argv", ["tune-cluster", *words])
        with suppress(SystemExit):
            cli.main()
        assert said in "".join(capsys.readouterr())
        assert list(folder.parent.iterdir()) == [folder]
    assert max(event["epoch"] for event in of_kind(events, "result")) <= 8


@pytest.mark.long
def test_the_hyperopt_search_of_ray_is_replaced_by_tpe_and_its_points_are_tried_first(run_script):
    named, events, output = run_script("hyperopt")
    assert "HyperOptSearch is TPESearch of search_spaces here" in output
    assert ", 2 at once" in output
    assert len(named["results"]) == 4
    first = of_kind(events, "suggested")[0]["config"]
    assert (first["width"], first["height"], first["steps"]) == (1, 2, 3)
    assert named["best"].metrics["epoch"] == 3
    about = json.loads(Path(named["results"].experiment_path, "study.json").read_text())
    assert about["strategy"]["searcher"] == "TPESearch"


@pytest.mark.long
def test_the_optuna_search_of_ray_is_replaced_and_trials_end_where_the_run_config_says(run_script):
    named, events, output = run_script("optuna")
    assert "OptunaSearch is OptunaSearch of search_spaces here" in output
    assert {event["epoch"] for event in of_kind(events, "result")} == {1, 2}
    assert Path(named["results"].experiment_path).name == "optuna_exp"


@pytest.mark.long
def test_a_grid_is_repeated_num_samples_times(run_script):
    named, events, output = run_script("grid")
    assert "until its function returns" in output
    alphas = [event["config"]["alpha"] for event in of_kind(events, "suggested")]
    assert alphas == [0.0, 1.0, 0.0, 1.0]
    assert named["best"].config["alpha"] == 1.0


@pytest.mark.long
def test_the_pbt_of_ray_takes_over_weights_and_changes_nested_values(run_script):
    named, events, output = run_script("pbt")
    assert "PopulationBasedTraining is PBT of search_spaces here" in output
    exploits = of_kind(events, "exploited")
    assert len(exploits) == 2
    for exploit in exploits:
        assert exploit["changes"].keys() <= {"model/lr", "momentum"}
    # Each continues from its donor's epoch.
    values = {(e["trial"], e["epoch"]): e["metrics"] for e in of_kind(events, "result")}
    for exploit in exploits:
        trial, epoch, donor = exploit["trial"], exploit["epoch"], exploit["donor"]
        gained = values[trial, epoch + 1]["mean_accuracy"] - values[donor, epoch]["mean_accuracy"]
        assert 0 < gained <= values[trial, epoch + 1]["lr"]
    assert {result.metrics["epoch"] for result in named["results"]} == {6}
    schedule = Path(named["results"].experiment_path, "best", "schedule.json")
    assert json.loads(schedule.read_text())["schedule"].keys() == {"model/lr", "momentum"}


@pytest.mark.long
def test_pb2_chooses_new_values_inside_its_bounds(run_script):
    named, events, output = run_script("pb2")
    assert "PB2 is PBT of search_spaces here" in output
    exploits = of_kind(events, "exploited")
    assert len(exploits) == 4
    chosen = [exploit["changes"]["lr"][1] for exploit in exploits if "lr" in exploit["changes"]]
    assert all(0.0001 <= round(value, 9) <= 0.02 for value in chosen)
    # The first has no differences to fit: it takes over the donor's.
    assert len(set(chosen)) > 1
    assert {result.metrics["epoch"] for result in named["results"]} == {10}


@pytest.mark.long
def test_the_median_rule_stops_trials_through_the_adapter(run_script):
    named, events, output = run_script("median")
    assert "MedianStoppingRule: a scheduler of Ray Tune keeps" in output
    assert "neither resumed nor extended" in output
    statuses = {event["trial"]: event["status"] for event in of_kind(events, "ended")}
    assert len(statuses) == 6
    assert set(statuses.values()) == {"finished", "stopped"}
    assert named["best"].metrics["epoch"] == 6


@pytest.mark.long
def test_hyperband_pauses_trials_that_resume_from_their_checkpoints(run_script):
    named, events, _ = run_script("hyperband")
    statuses = [event["status"] for event in of_kind(events, "ended")]
    assert len(statuses) == 6
    assert statuses.count("stopped") >= 1
    for event in of_kind(events, "result"):
        assert event["metrics"]["at"] == event["epoch"]
    assert not of_kind(events, "epochs_lost")
    assert named["best"].metrics["epoch"] == 4


def test_a_users_searcher_suggests_points_and_receives_results(run_script):
    named, _, output = run_script("searcher")
    assert "ExampleSearch: a searcher of Ray Tune keeps" in output
    assert named["best"].config["width"] == 0.75
    # One has failed, beside others, which may have been the machine: it is not blamed for it.
    assert named["results"].num_errors == 1
    assert len(named["search"].told) == 4


@pytest.mark.long
def test_the_example_differs_from_a_script_of_ray_by_its_import_line(
    cluster_address, tmp_path, monkeypatch, capsys
):
    script = EXAMPLE.read_text()
    assert script.count("tune_cluster") == 2, "in the docstring, and in the import line"
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(EXAMPLE), run_name="__main__")
    output = capsys.readouterr().out
    assert "Best checkpoint: [" in output
    (study,) = (tmp_path / "results").iterdir()
    assert [*study.glob("trials/*/ray/progress.csv")]
    assert json.loads((study / "best" / "best.json").read_text())["loss"] < 1.0
