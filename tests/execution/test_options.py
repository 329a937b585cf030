"""The command line: valid options, refused ones, and the restored options of a resume."""

import argparse
import inspect
import json
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Literal

import docstring_parser
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces.knobs import Knobs
from search_spaces.searchers.auto_search import LearningFlags
from tune_cluster.execution.command_line import parse
from tune_cluster.execution.options import RESUMABLE, Options, flag
from tune_jobs import asha_lr_batch


def job(
    options,
    *,
    grace_period: int = 1,
    kind: Literal["quick", "thorough"] = "quick",
    widths: tuple[int, ...] = (8, 16),
    notes: Path = Path("notes"),
    limit: float | None = None,
    shuffled: bool = False,
):
    """Is the grass green?

    It asks until somebody answers.

    Args:
        grace_period: epochs that every trial
            is given.
        widths: of the layers.
    """


STUDY = "results/study"


def through_json(command):
    return json.loads(json.dumps(command.stored(), allow_nan=False))


def resumed(started, *argv):
    return parse(job, ["--resume", str(STUDY), *argv], stored=through_json(started))


def test_without_flags_every_option_has_its_documented_default():
    command = parse(job, [])
    assert command.options == Options()
    assert command.own == {
        "grace_period": 1,
        "kind": "quick",
        "widths": (8, 16),
        "notes": Path("notes"),
        "limit": None,
        "shuffled": False,
    }


def test_the_keyword_parameters_of_a_job_are_flags():
    argv = ["--grace-period", "3", "--kind", "thorough", "--widths", "1", "2", "3", "--shuffled"]
    command = parse(job, [*argv, "--trials", "8"])
    assert command.options == Options(trials=8)
    assert command.own["grace_period"] == 3
    assert command.own["kind"] == "thorough"
    assert command.own["widths"] == (1, 2, 3)
    assert command.own["shuffled"] is True


def test_a_flag_of_several_values_may_be_given_several_times():
    argv = ["--widths", "1", "2", "--shuffled", "--widths=3", "--limit", "4", "--widths", "5"]
    own = parse(job, argv).own
    assert (own["widths"], own["shuffled"], own["limit"]) == ((1, 2, 3, 5), True, 4)


def test_help_shows_the_question_of_the_job_and_each_flag_with_its_docstring(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as ended:
        parse(job, ["--help"])
    assert ended.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Is the grass green?" in said
    assert "epochs that every trial is given." in said
    assert "Args:" not in said
    assert "Number of trials" in said
    for known in fields(Options):
        assert flag(f"no_{known.name}" if known.default is True else known.name) in said
    for name in RESUMABLE:
        assert flag(name) in said.split("these may change:")[1].split(".")[0]


def test_help_documents_the_flags_of_a_dataclass_inherited_ones_too(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit):
        parse(asha_lr_batch.job, ["--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "--data-dir PATH Folder of the datasets." in said
    assert "--dataset NAME fashion_mnist" in said


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--trails", "8"], "--trails"),
        (["--trials", "many"], "many"),
        (["--trials"], "--trials"),
        (["--kind", "lazy"], "lazy"),
        (["8"], "8"),
    ],
)
def test_an_unknown_flag_or_a_value_of_the_wrong_type_is_refused_in_one_line(argv, said):
    with pytest.raises(ValueError, match=said) as refused:
        parse(job, argv)
    assert "\n" not in str(refused.value)
    assert not set("│╭╰") & set(str(refused.value))


def test_a_parameter_without_a_default_is_refused():
    # `--resume STUDY` alone must be a whole command line.
    def needy(options, *, needed: int):
        """Does it work?"""

    with pytest.raises(ValueError, match="--needed: the job's parameter needs a default"):
        parse(needy, [])


@pytest.mark.parametrize("name", [known.name for known in fields(Options)])
def test_a_parameter_with_the_name_of_a_shared_flag_is_refused(name):
    def hiding(first, **others):
        """Does it work?"""

    parameter = inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=1, annotation=int)
    first, *_ = inspect.signature(hiding).parameters.values()
    hiding.__signature__ = inspect.Signature([first, parameter])  # type: ignore[attr-defined]
    said = (
        f"{flag(name)}: the job's parameter {name} has the name of another flag; .* options.{name}"
    )
    with pytest.raises(ValueError, match=said):
        parse(hiding, [flag(name), "2"])


def test_a_parameter_that_cannot_be_a_flag_is_refused_with_what_it_lacks():
    def untyped(options, *, layers=2):
        """Does it work?"""

    def unknown(options, *, layers: "Layers" = 2):  # type: ignore[name-defined]  # noqa: F821
        """Does it work?"""

    def helping(options, *, help: int = 2):
        """Does it work?"""

    def alone():
        """Does it work?"""

    with pytest.raises(ValueError, match=r"--layers: .* needs a type, such as layers: int = 2"):
        parse(untyped, [])
    with pytest.raises(ValueError, match="cannot be read: name 'Layers' is not defined"):
        parse(unknown, [])
    with pytest.raises(
        ValueError, match="--help: the job's parameter help has the name of another flag"
    ):
        parse(helping, [])
    with pytest.raises(ValueError, match="needs a first parameter, the options"):
        parse(alone, [])


def test_a_flag_of_the_parser_of_the_script_is_refused_with_the_call_that_passes_the_rest():
    def job(options):
        """Does it work?"""

    parser = argparse.ArgumentParser()
    parser.add_argument("--data-path")
    typed = ["--data-path", "y", "--trials", "3"]
    with pytest.raises(ValueError, match=r"--data-path.*main\(job, rest\)"):
        parse(job, typed)
    args, rest = parser.parse_known_args(typed)
    assert (args.data_path, parse(job, rest).options.trials) == ("y", 3)


def test_a_flag_of_an_earlier_version_is_read_as_the_flag_that_replaces_it():
    def knob(options, *, knobs: Knobs):
        """Which knob?"""

    stored = through_json(parse(knob, ["--fix", "patience=6"]))
    assert parse(knob, [], stored=stored).own["knobs"].fix == ("patience=6",)
    stored["options"] |= {"fix": ["patience=6"], "train_ratio": 0.9}
    del stored["options"]["search"]
    (knobs,) = parse(knob, [], stored=stored).own.values()
    assert knobs == Knobs(fix=("patience=6", "train_ratio=0.9"))
    with pytest.raises(ValueError, match=r"--fix .*: the study was started with"):
        parse(knob, ["--fix", "patience=7"], stored=stored)


def test_a_positional_parameter_and_a_parameter_of_type_list_are_flags():
    def starless(options, layers: int = 2, widths: list[int] = [8, 16]):  # noqa: B006
        """Does it work?"""

    assert parse(starless, ["--layers", "3"]).own == {"layers": 3, "widths": [8, 16]}
    assert parse(starless, ["--widths", "4"]).own == {"layers": 2, "widths": [4]}


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--trials", "0"], "--trials 0: .* greater than or equal to 1"),
        (["--max-epochs", "0"], "--max-epochs 0: .* greater than or equal to 1"),
        (["--seed", "-1"], "--seed -1: .* greater than or equal to 0"),
        (["--max-concurrent", "0"], "--max-concurrent 0: .* greater than or equal to 1"),
        (["--cpus-per-trial", "0"], "--cpus-per-trial 0: .* greater than"),
        (["--cpus-per-trial", "nan"], "--cpus-per-trial nan: .* finite"),
        (["--time-budget", "0"], "--time-budget 0: .* greater than"),
        (["--time-budget", "inf"], "--time-budget inf: .* finite"),
        (["--price-per-gpu-hour", "-1"], "--price-per-gpu-hour -1: .* greater than or equal to 0"),
        (["--price-per-gpu-hour", "nan"], "--price-per-gpu-hour nan: .* finite"),
        (["--gpus-per-trial", "-0.5"], "--gpus-per-trial -0.5: .* or equal to 0"),
        (["--gpus-per-trial", "1.5"], "--gpus-per-trial 1.5: .* a fraction up to 1"),
        (["--gpus-per-trial", "inf"], "--gpus-per-trial inf: .* finite"),
        (["--gpus-per-trial", "nan"], "--gpus-per-trial nan: .* finite"),
        (["--name", "a/b"], "--name must be the name of a folder, without /, got 'a/b'"),
        (["--name", ""], "--name must be the name of a folder, without /, got ''"),
        (["--name", "."], "--name must be the name of a folder"),
        (["--storage-path", "s3:/x"], "--storage-path must be a folder .*, got s3:/x"),
        (["--storage-path", "s3://B/x"], "--storage-path must be a folder .*, or s3://bucket/fold"),
        (["--storage-path", "s3://bucket/a?b=c"], "--storage-path must be a folder"),
        (
            ["--storage-path", "gs://bucket/x"],
            "--storage-path must be a folder .*, got gs://bucket",
        ),
        (["--resume", "s3://bucket/../x"], "--resume must be a folder"),
    ],
)
def test_a_value_out_of_its_range_is_named_with_the_rule(argv, said):
    with pytest.raises(ValueError, match=said) as refused:
        parse(job, argv)
    assert "\n" not in str(refused.value)


def test_a_value_out_of_its_range_is_refused_in_python_too():
    with pytest.raises(ValueError, match=r"trials\n.* greater than or equal to 1"):
        Options(trials=0)


@pytest.mark.parametrize(
    "argv",
    [
        *(["--trials", "1"], ["--max-epochs", "1"], ["--seed", "0"], ["--max-concurrent", "1"]),
        *(["--gpus-per-trial", gpus] for gpus in ("0", "0.1", "1", "2")),
        *(["--cpus-per-trial", "0.5"], ["--time-budget", "0.1"], ["--name", "a.b-c"]),
    ],
)
def test_the_bounds_of_a_range_are_accepted(argv):
    command = parse(job, argv)
    assert str(getattr(command.options, argv[0][2:].replace("-", "_"))).startswith(argv[1])


def test_a_smoke_test_trains_for_3_epochs():
    options = parse(job, ["--smoke-test"]).options
    assert options.max_epochs == 3
    assert options.trials is None, "the job may say how many it needs"


@pytest.mark.parametrize("ignored", ["--trials", "--max-epochs"])
def test_a_flag_that_a_smoke_test_would_ignore_is_refused(ignored):
    with pytest.raises(ValueError, match=f"{ignored} 99: a smoke test has"):
        parse(job, ["--smoke-test", ignored, "99"])


def test_a_smoke_test_can_be_extended():
    smoke = parse(job, ["--smoke-test"])
    options = resumed(smoke, "--trials", "6").options
    assert (options.trials, options.max_epochs) == (6, 3)


words = st.text("abcdefghij0123456789._", min_size=1, max_size=8).filter(
    lambda word: word.strip(".") and not word.startswith("_")
)
paths = st.lists(words, min_size=1, max_size=3).map(lambda parts: str(Path(*parts)))
valid = {
    "trials": st.integers(1, 10**4),
    "max-epochs": st.integers(1, 10**3),
    "seed": st.integers(0, 2**63),
    "cpus-per-trial": st.floats(0.01, 64),
    "gpus-per-trial": st.one_of(st.just(0.0), st.floats(0.0001, 1), st.integers(1, 8)),
    "max-concurrent": st.integers(1, 100),
    "address": words,
    "storage-path": paths,
    "name": words,
    "time-budget": st.floats(0.1, 1e6),
    "grace-period": st.integers(1, 27),
    "kind": st.sampled_from(["quick", "thorough"]),
    "notes": paths,
    "limit": st.floats(-1e3, 1e3),
}


@given(st.fixed_dictionaries({}, optional=valid), st.booleans(), st.lists(st.integers(0, 99)))
@settings(max_examples=25)
def test_a_resume_restores_the_command_except_the_flags_for_one_session(chosen, smoke, widths):
    smoke = smoke and not {"trials", "max-epochs"} & set(chosen)
    argv = [f"--{name}={value}" for name, value in chosen.items()]
    argv += ["--smoke-test"] * smoke
    argv += ["--widths", *map(str, widths)] if widths else []
    started = parse(job, argv)
    again = resumed(started)
    assert again.own == started.own
    assert again.options == replace(started.options, resume=STUDY, address=None, time_budget=None)
    # And again, from the options that the second session has stored.
    assert resumed(again) == again


CHANGES = {
    "trials": "65",
    "max_concurrent": "3",
    "cpus_per_trial": "2",
    "gpus_per_trial": "1",
    "address": "auto",
    "time_budget": "60",
    "epoch_budget": "60",
    "target": "0.5",
    "study_patience": "60",
    "keep_best": "3",
    "checkpoint_budget": "10GB",
    "price_per_gpu_hour": "2.5",
    "report": "False",
    "verbose": "True",
    "yes": "True",
}


def test_every_flag_that_may_change_on_resume_is_covered_by_a_test():
    assert set(CHANGES) == set(RESUMABLE)


@pytest.mark.parametrize("name", RESUMABLE)
def test_on_resume_a_flag_that_does_not_change_a_trial_may_be_changed(name):
    # These are given without a value.
    value = [] if name in ("report", "verbose", "yes") else [CHANGES[name]]
    given = flag(name) if CHANGES[name] != "False" else f"--no-{name}"
    changed = resumed(parse(job, []), given, *value)
    assert str(getattr(changed.options, name)).startswith(CHANGES[name])


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["--max-epochs", "9"], "--max-epochs 9: the study was started with None"),
        (["--seed", "1"], "--seed 1: the study was started with 0"),
        (["--storage-path", "x"], "--storage-path x: the study was started with results"),
        (["--name", "x"], "--name x: the study was started with None"),
        (["--smoke-test"], "--smoke-test True: the study was started with False"),
        (["--grace-period", "3"], "--grace-period 3: the study was started with 1"),
        (["--widths", "9"], r"--widths \(9,\): the study was started with \(8, 16\)"),
        (["--notes", "x"], "--notes x: the study was started with notes"),
    ],
)
def test_on_resume_a_flag_that_changes_a_trial_is_refused_with_the_flags_that_may_change(
    argv, said
):
    with pytest.raises(ValueError, match=said) as refused:
        resumed(parse(job, []), *argv)
    allowed = str(refused.value).split("may change: ")[1]
    assert allowed == ", ".join(map(flag, RESUMABLE))


def test_a_resume_leaves_the_report_out_as_the_first_session_did():
    started = parse(job, ["--no-report"])
    assert not resumed(started, "--no-report").options.report
    assert resumed(started).options.report


def test_on_resume_a_flag_with_its_stored_value_is_accepted():
    started = parse(job, ["--seed", "5", "--grace-period", "3"])
    assert resumed(started, "--seed", "5", "--grace-period", "3").options.seed == 5


def test_resume_or_start_needs_a_name_and_excludes_resume():
    with pytest.raises(ValueError, match="give --name NAME too"):
        parse(job, ["--resume-or-start"])
    with pytest.raises(ValueError, match="leave out --resume"):
        parse(job, ["--resume-or-start", "--name", "x", "--resume", "results/x"])


def test_a_study_that_is_found_by_its_name_may_have_been_moved():
    started = parse(job, ["--resume-or-start", "--name", "x", "--seed", "5"])
    moved = ["--resume-or-start", "--name", "x", "--storage-path", "elsewhere"]
    again = parse(job, moved, stored=through_json(started))
    assert (again.options.storage_path, again.options.seed) == ("elsewhere", 5)
    with pytest.raises(ValueError, match="--seed 6: the study was started with 5"):
        parse(job, [*moved, "--seed", "6"], stored=through_json(started))


def test_the_searcher_that_auto_has_chosen_stays_on_resume():
    def learning_job(options, *, learning: LearningFlags):
        """Which searcher?"""

    argv = ["--resume", str(STUDY)]
    stored = through_json(parse(learning_job, ["--searcher", "auto"]))
    stored["strategy"] = {"searcher": "TPESearch"}
    for said in ([], ["--searcher", "auto"], ["--searcher", "tpe"]):
        again = parse(learning_job, [*argv, *said], stored=stored)
        assert again.own["learning"].searcher == "tpe"
    with pytest.raises(ValueError, match="--searcher gp: the study was started with tpe"):
        parse(learning_job, [*argv, "--searcher", "gp"], stored=stored)


def test_yes_is_not_taken_over_by_a_resume():
    started = parse(job, ["--yes"])
    assert not resumed(started).options.yes
    assert resumed(started, "--yes").options.yes


def test_a_resume_with_fewer_trials_is_refused():
    started = parse(job, ["--trials", "8"])
    assert resumed(started, "--trials", "8").options.trials == 8
    with pytest.raises(ValueError, match="--trials 7: the study has 8 already; it can only grow"):
        resumed(started, "--trials", "7")


@pytest.mark.parametrize("columns", [40, 60, 80, 100, 110, 140, 200, 1000])
def test_the_help_breaks_a_line_only_where_the_terminal_ends(capsys, monkeypatch, columns):
    monkeypatch.setattr(sys, "argv", ["job.py"])
    monkeypatch.setenv("COLUMNS", str(columns))
    with pytest.raises(SystemExit):
        parse(job, ["--help"])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= columns
    told = {p.arg_name: p.description for p in docstring_parser.parse_from_object(Options).params}
    said = "\n".join(lines)
    for known in fields(Options):
        text = " ".join(told[known.name].split())
        assert (text in said) or len(text) > columns - 30


def test_the_program_in_the_help_is_the_script_that_was_started(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["tune_jobs/grass.py"])
    with pytest.raises(SystemExit):
        parse(job, ["--help"])
    assert "usage: python tune_jobs/grass.py" in capsys.readouterr().out


def test_a_study_of_an_earlier_version_resumes_without_the_defaults_as_start_point():
    stored = through_json(parse(job, []))
    del stored["flags"]["defaults"]
    assert parse(job, [], stored).options.start_points == []
    assert parse(job, []).options.start_points == [{}]


def learns(options, *, learning: LearningFlags):
    """Is the grass green?"""


@pytest.mark.parametrize("options", [{}, {"searcher": "auto"}])
def test_a_study_resumes_with_its_searcher_whatever_the_default_is_now(options):
    """One of an earlier version does not have the flag."""
    stored = {**through_json(parse(learns, [])), "options": options}
    stored["strategy"] = {"searcher": "TPESearch"}
    argv = ["--resume", STUDY]
    assert parse(learns, argv, stored).own["learning"].searcher == "tpe"
    with pytest.raises(ValueError, match="--searcher gp: the study was started with tpe"):
        parse(learns, [*argv, "--searcher", "gp"], stored)
