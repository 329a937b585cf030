"""The report of a study: its files, what they say, and what is left of a damaged one."""

import json
import re
import shutil
import subprocess
import sys

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.reports.made_up import EPOCHS, SECONDS, spread, study, trial, write
from tests.studies import about
from tune_cluster.reports.commands import doctor, report
from tune_cluster.reports.figure_parallel import (
    BEST_LINES,
    MOST_LINES,
    first_drawn,
    parallel_figure,
    step_of,
    text_of,
)
from tune_cluster.reports.figures_of_space import isolation_figures
from tune_cluster.reports.frames import trials_frame
from tune_cluster.reports.importance import importances
from tune_cluster.reports.readable import readable
from tune_cluster.reports.report import FILES, report_of
from tune_cluster.reports.trial_table import filtered, ordered, rows_of
from tune_cluster.storage.s3 import S3Store
from tune_cluster.study.stored import read_study

pytestmark = pytest.mark.slow

LOST = trial(0.0, "failed", 0, 0.05, reason="no such optimizer")
TRIALS = [
    *spread(30),
    trial(0.1, "diverged", 2, 0.09, reason="NaN"),
    trial(0.3, epochs=3, rate=0.02),
]

PRICED = {"price_per_gpu_hour": 36.0, "gpus_per_trial": 0.5}


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    folder = tmp_path_factory.mktemp("studies")
    made = [write(folder / name, [*TRIALS, LOST], flags={**about()["flags"], **PRICED})
            for name in ("first", "second")]  # fmt: skip
    best = read_study(made[0]).state.best
    (made[0] / "data.html").write_text("the look")
    always = {"validation": {"always": {"score": 0.25}, "forest": "is not installed"}}
    tested = {"test": {"always": {"test_score": 0.125}}}
    (made[0] / "baselines.json").write_text(json.dumps(always | tested))
    found = {"trial": best.trial.index, "epoch": best.epoch, "test": {"test_score": 0.875}}
    (made[0] / "best").mkdir()
    (made[0] / "best" / "best.json").write_text(json.dumps(found))
    return made


def figures_in(page):
    """Return the figures of a page, by their place in it."""
    text = (page / "report.html").read_text()
    (found,) = re.findall(r'<script type="application/json" id="figures">(.*)</script>', text)
    return json.loads(found)


def index_of(study, status):
    trials = read_study(study).state.trials.values()
    return next(trial.index for trial in trials if trial.status == status)


@pytest.fixture(scope="module")
def page(studies, tmp_path_factory):
    """The folder with the report of the first study."""
    folder = tmp_path_factory.mktemp("report")
    report((str(studies[0]),), to=str(folder))
    return folder


def test_the_files_of_a_report_are_written_and_the_page_needs_no_network(page):
    assert {path.name for path in page.iterdir()} == set(FILES)
    text = (page / "report.html").read_text()
    without_library = text.partition("<script>")[0]
    assert "http" not in without_library
    assert " src=" not in without_library
    assert len(text) < 8e6


def test_the_answer_names_the_best_trial_its_value_and_the_cost(page, studies):
    best = read_study(studies[0]).state.best
    first = (page / "report.md").read_text().split("\n\n")[1]
    assert f"trial {best.trial.index}:" in first
    assert f"{best.value:.4f}" in first
    assert f"{30 * EPOCHS + 2 + 3} epochs" in first


def test_the_tables_have_one_row_for_each_trial_and_for_each_epoch(page):
    trials = pd.read_parquet(page / "trials.parquet")
    results = pd.read_parquet(page / "results.parquet")
    assert len(trials) == len(TRIALS) + 1
    assert len(results) == 30 * EPOCHS + 2 + 3
    assert trials.value.max() == pytest.approx(results.score.max())
    assert {"learning_rate", "batch_size", "status"} <= set(trials.columns)


def test_the_best_is_beside_simple_predictors_on_both_parts_of_the_data(page, studies):
    best = read_study(studies[0]).state.best
    text = (page / "report.md").read_text()
    name = f"trial {best.trial.index}, epoch {best.epoch}"
    assert f"| {name} | {best.value:.4f} |" in text
    assert "| always | 0.2500 |" in text
    assert "| forest is not installed |" in text
    assert f"| {name} | 0.8750 |" in text
    assert "| always | 0.1250 |" in text


@pytest.mark.parametrize(("score", "named"), [(0.25, False), (10.0, True)])
def test_a_predictor_that_no_trial_beats_is_named_in_the_answer(studies, score, named):
    baselines = studies[1] / "baselines.json"
    baselines.write_text(json.dumps({"validation": {"a forest": {"score": score}}}))
    answer = report_of(readable(str(studies[1])), importance=False).answer
    assert ("a forest" in " ".join(answer.sentences)) == named
    baselines.unlink()


def test_the_look_at_the_data_is_linked_from_wherever_the_report_is(page, studies):
    (link,) = re.findall(r"\[Its data\]\((.*)\)", (page / "report.md").read_text())
    assert (page / link).resolve() == studies[0] / "data.html"
    assert f'href="{link}"' in (page / "report.html").read_text()


def test_hours_and_money_are_told_by_node(page):
    hours = (30 * EPOCHS + 2 + 3) * SECONDS / 3600
    text = (page / "report.md").read_text()
    assert f"| one | 32 | {30 * EPOCHS + 2 + 3} | {hours:.3g} | {36 * 0.5 * hours:.2f} |" in text
    assert f"{36 * 0.5 * hours:.2f} in money" in text


def test_every_value_says_its_epoch_and_a_trial_without_one_is_in_every_figure(page, studies):
    failed = index_of(studies[0], "failed")
    shown = dict.fromkeys(["scatter", "contour", "bar"], 0)
    for figure in figures_in(page).values():
        for trace in figure["data"]:
            hover = trace.get("hovertemplate", "")
            if "%{y:.4f}" in hover or "%{customdata[1]:.4f}" in hover:
                assert "epoch" in hover
            trials = trace.get("customdata", [])
            first = [one[0] if isinstance(one, list) else one for one in trials]
            shown[trace["type"]] += failed in first if trials else 0
    # In isolation for both hyperparameters, between them, and as a line over both; its work on an
    # unknown node.
    assert shown == {"scatter": 4, "contour": 0, "bar": 1}


def lines_in(figure, visible=(True, "legendonly")):
    """Return the heights of the line of each trial in the figure of all hyperparameters."""
    found = {}
    for trace in figure.data:
        if trace.meta == "lines" and trace.visible in visible:
            for place, height, index in zip(trace.x, trace.y, trace.customdata, strict=True):
                if place is not None:
                    found.setdefault(index, []).append(height)
    return found


def test_each_trial_is_a_line_which_passes_below_an_axis_that_it_has_no_value_on(tmp_path):
    other = {**trial(0.4), "config": {"batch_size": 32}}
    made = study(tmp_path, [*TRIALS, LOST, other], in_order=True)
    rows = ordered(rows_of(made), "value", descending=True)
    parameters = made.about["space"]["parameters"]
    lines = lines_in(parallel_figure(rows, parameters, made.state.objective))
    assert set(lines) == set(made.state.trials)
    rate, batch, value = zip(*(lines[index] for index in sorted(lines)), strict=True)
    nowhere = [[i for i, height in enumerate(axis) if height < 0] for axis in (rate, batch, value)]
    assert nowhere == [[len(TRIALS) + 1], [], [len(TRIALS)]]
    assert value[made.state.best.trial.index] == max(value) == 1


def test_the_epochs_of_a_trial_are_not_taken_for_the_hyperparameter_epochs(tmp_path):
    short = trial(0.3, "stopped", 3)
    made = study(tmp_path, [{**short, "config": {**short["config"], "epochs": EPOCHS}}])
    (row,) = filtered(rows_of(made), ("epochs_run=3", f"epochs={EPOCHS}"))
    (cells,) = trials_frame(made).to_dict("records")
    assert (row.epochs_run, cells["epochs_run"], cells["epochs"]) == (3, 3, EPOCHS)


def test_a_hyperparameter_that_no_trial_has_is_named_as_such(tmp_path):
    made = study(tmp_path, TRIALS, in_order=True)
    parameters = [*made.about["space"]["parameters"], {"name": "momentum", "low": 0.1, "high": 0.9}]
    *others, empty = isolation_figures(rows_of(made), parameters, made.state.objective)
    assert [len(figure.layout.annotations) for figure in others] == [0, 0]
    assert [one.text for one in empty.layout.annotations] == ["no trial has it"]


@given(st.integers(MOST_LINES - 2, 10 * MOST_LINES))
def test_of_many_trials_the_best_and_a_share_of_the_others_are_drawn_at_first(trials):
    drawn = first_drawn(trials)
    assert drawn[:BEST_LINES].all()
    assert min(trials, MOST_LINES) / 2 < drawn.sum() <= MOST_LINES
    assert drawn[BEST_LINES :: step_of(trials)].all()
    assert (str(drawn.sum()) in text_of(trials)) == (trials > MOST_LINES)


def test_several_studies_stand_side_by_side(studies, tmp_path):
    report(tuple(map(str, studies)), to=str(tmp_path))
    text = (tmp_path / "report.md").read_text()
    assert text.count("# first") == text.count("# second") == 1
    assert set(pd.read_parquet(tmp_path / "results.parquet").study) == {"first", "second"}
    assert set(pd.read_csv(tmp_path / "trials.csv").study) == {"first", "second"}


def test_optuna_gets_the_study_with_states_and_intermediate_values(studies, tmp_path, capsys):
    import optuna

    storage = f"sqlite:///{tmp_path / 'studies.db'}"
    report((str(studies[0]),), to=str(tmp_path), optuna_storage=storage)
    found = optuna.load_study(study_name="first", storage=storage)
    ours = read_study(studies[0]).state
    assert found.best_value == ours.best.value
    assert found.best_trial.params["learning_rate"] == ours.best.trial.config["learning_rate"]
    assert len(found.trials[0].intermediate_values) == EPOCHS
    states = [one.state.name for one in found.trials]
    assert (states.count("COMPLETE"), states.count("FAIL")) == (31, 2)
    with pytest.raises(ValueError, match="has a study first already"):
        report((str(studies[0]),), to=str(tmp_path), optuna_storage=storage)


def test_the_hyperparameter_with_the_largest_effect_is_the_most_important(studies):
    found = importances(read_study(studies[0]))
    assert found.epoch == EPOCHS
    assert [one.name for one in found.each] == ["learning_rate", "batch_size"]
    assert found.each[0].low > found.each[1].high


def test_importance_needs_twenty_trials_at_one_epoch(tmp_path):
    few = write(tmp_path / "few", spread(12))
    assert importances(read_study(few)).epoch is None
    # Most trials end at epoch 3, as at a rung: that is where they can be compared.
    short = [*spread(25, epochs=3), *spread(5)]
    assert importances(read_study(write(tmp_path / "short", short))).epoch == 3


def test_hostile_names_and_values_are_escaped_in_a_report(tmp_path):
    evil = "</script><script>alert(1)</script>"
    one = {**trial(0.5), "config": {"learning_rate": 0.1, evil: evil}, "reason": evil}
    parameters = [{"name": evil, "values": [evil, "b"], "ordered": False}]
    write(tmp_path, [one, {**one, "status": "failed"}], parameters=parameters)
    report((str(tmp_path),))
    text = (tmp_path / "report.html").read_text()
    assert evil not in text


def test_a_report_reads_without_ray_and_torch(studies):
    code = (
        "import sys; from tune_cluster.reports.commands import report\n"
        "report((sys.argv[1],), to=sys.argv[1])\n"
        "assert not {'ray', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(studies[1])], check=True, capture_output=True)


def test_the_doctor_prints_findings_for_a_person_and_for_a_program(studies, capsys):
    doctor(str(studies[0]))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert {line.split()[0] for line in lines if line[:1].strip()} <= {"pass", "warn", "fail"}
    doctor(str(studies[0]), json=True)
    found = json.loads(capsys.readouterr().out)
    assert {"check", "verdict", "evidence", "rule", "advice", "numbers"} == set(found[0])


def test_the_readable_part_of_a_damaged_study_is_reported(studies, tmp_path):
    damaged = tmp_path / "damaged"
    shutil.copytree(studies[0], damaged)
    lines = (damaged / "journal.jsonl").read_bytes().splitlines(keepends=True)
    lines[50] = b'{"event": "nonsense"}\n'
    (damaged / "journal.jsonl").write_bytes(b"".join(lines))
    report((str(damaged),))
    text = (damaged / "report.md").read_text()
    assert "line 51" in text
    assert "The best is trial" in text


def test_the_report_of_a_study_in_a_bucket_names_its_address_in_commands(studies, bucket, tmp_path):
    address = f"{bucket}/results/first"
    for name in ("study.json", "journal.jsonl"):
        S3Store(address).write(name, (studies[0] / name).read_bytes())
    report((address,), to=str(tmp_path / "to"))
    assert f"tune-cluster confirm {address}" in (tmp_path / "to" / "report.md").read_text()


@pytest.mark.long
@settings(max_examples=20, deadline=None)
@given(
    name=st.sampled_from(["study.json", "journal.jsonl"]),
    share=st.none() | st.floats(0, 1),
)
def test_a_report_of_a_missing_or_cut_file_has_the_readable_part_or_is_one_line(
    studies, tmp_path_factory, name, share
):
    cut = tmp_path_factory.mktemp("cut") / "study"
    shutil.copytree(studies[0], cut, ignore=shutil.ignore_patterns("report*", "*.parquet"))
    whole = (cut / name).read_bytes()
    if share is None:
        (cut / name).unlink()
    else:
        (cut / name).write_bytes(whole[: int(share * len(whole))])
    said = ""
    try:
        report((str(cut),))
    except ValueError as error:
        said = str(error)
    written = {path.name for path in cut.iterdir()} >= set(FILES)
    assert written != bool(said)
    assert "\n" not in said
    shutil.rmtree(cut.parent)
