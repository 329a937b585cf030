"""Every command of `tune-cluster`: its help, its effect, and one line for bad input."""

import inspect
import json
import os
import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT, table_of
from tests.reports.made_up import spread, write
from tests.studies import about
from tune_cluster.cli import COMMANDS, main

NEEDS_NOTHING = {"preflight", "hyperparameters"}


def said_by(monkeypatch, capsys, *argv):
    """Return the output of a refused command on stderr."""
    monkeypatch.setattr(sys, "argv", ["tune-cluster", *argv])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("argv", [[], ["nonsense"], *([name] for name in COMMANDS)], ids=str)
def test_a_command_without_its_input_is_refused_in_one_line(monkeypatch, capsys, tmp_path, argv):
    if argv and argv[0] in NEEDS_NOTHING:
        argv = [*argv, "--nonsense"]
    monkeypatch.chdir(tmp_path)
    said = said_by(monkeypatch, capsys, *argv)
    assert said.startswith("error: ")
    assert said.count("\n") == 1


@pytest.mark.parametrize("flag", ["--top=0", "--seeds=1", "--seeds=many"])
def test_an_invalid_number_of_a_confirmation_is_refused_in_one_line(
    monkeypatch, capsys, tmp_path, flag
):
    (tmp_path / "study.json").write_text(json.dumps(about()))
    (tmp_path / "journal.jsonl").touch()
    said = said_by(monkeypatch, capsys, "confirm", str(tmp_path), flag)
    assert flag.partition("=")[0] in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    "given",
    [
        *("missing", "--nonsense", "a\0b", "a" * 300, "~nobody-here", "s3:/x", "empty", "circle"),
        *("fifo", "not_json"),
    ],
    ids=lambda given: ascii(given)[:20],
)
@pytest.mark.parametrize("name", COMMANDS)
def test_bad_input_and_a_missing_study_are_refused_in_one_line(
    monkeypatch, capsys, tmp_path, name, given
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "not_json").mkdir()
    (tmp_path / "not_json" / "study.json").write_text("{")
    os.mkfifo(tmp_path / "fifo")
    said = said_by(monkeypatch, capsys, name, given)
    assert said.startswith("error: ")
    assert said.count("\n") == 1


@pytest.mark.parametrize("name", ["preflight", "audit", "plot", "compare"])
def test_an_argument_too_many_is_refused_in_one_line(monkeypatch, capsys, tmp_path, name):
    monkeypatch.chdir(tmp_path)
    said = said_by(monkeypatch, capsys, name, "a", "b", "c")
    assert said.startswith("error: ")
    assert said.count("\n") == 1


@pytest.mark.parametrize("columns", [40, 80, 200])
@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "train"])
def test_the_help_of_a_command_breaks_no_sentence(monkeypatch, capsys, name, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(sys, "argv", ["tune-cluster", name, "--help"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    shown = capsys.readouterr().out.splitlines()
    assert max(map(len, (line for line in shown if "usage:" not in line))) <= columns
    said = "\n".join(shown)
    # The cells of a box, put together again, have each sentence of the docstring.
    whole = "".join(re.sub(r"^│|│$", "", line) for line in shown)
    about, _, arguments = inspect.getdoc(COMMANDS[name]).partition("\nArgs:")
    sentences = [about, *re.findall(r"^    \w+: (.*(?:\n        .*)*)", arguments, re.MULTILINE)]
    for sentence in sentences:
        text = " ".join(sentence.split())
        assert "".join(text.split()) in "".join(whole.split())
        assert text in said or len(text) > columns - 40


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_the_help_lists_every_command(monkeypatch, capsys, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(sys, "argv", ["tune-cluster", "--help"])
    main()
    shown = capsys.readouterr().out
    assert re.findall(r"^(\w+)  ", shown, re.MULTILINE) == list(COMMANDS)
    assert max(map(len, shown.splitlines())) <= columns


def test_audit_takes_its_flags_before_the_study_and_help_after_it(monkeypatch, capsys):
    said = said_by(monkeypatch, capsys, "audit", "--share", "0.5", "nowhere")
    assert "nowhere: no study is there" in said
    monkeypatch.setattr(sys, "argv", ["tune-cluster", "audit", "nowhere", "--help"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert "--share" in capsys.readouterr().out


def test_a_script_is_run_as_python_runs_it(monkeypatch, capsys, tmp_path):
    (tmp_path / "beside.py").write_text("VALUE = 7")
    (tmp_path / "job.py").write_text("import sys, beside; print(sys.argv[1:], beside.VALUE)")
    monkeypatch.setattr(sys, "argv", ["tune-cluster", "run", str(tmp_path / "job.py"), "--trials"])
    monkeypatch.setattr(sys, "path", list(sys.path))
    main()
    assert capsys.readouterr().out == "['--trials'] 7\n"


def test_a_bug_of_a_script_is_shown_with_its_traceback(monkeypatch, tmp_path):
    (tmp_path / "job.py").write_text("raise ValueError('a bug')")
    monkeypatch.setattr(sys, "argv", ["tune-cluster", "run", str(tmp_path / "job.py")])
    monkeypatch.setattr(sys, "path", list(sys.path))
    with pytest.raises(ValueError, match="a bug"):
        main()


def test_a_study_whose_script_is_gone_is_refused_with_the_way_to_name_it(
    monkeypatch, capsys, tmp_path
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "journal.jsonl").touch()
    (tmp_path / "study.json").write_text(json.dumps(about(command=["python", "gone.py"])))
    said = said_by(monkeypatch, capsys, "resume", str(tmp_path))
    assert "its script gone.py is not there" in said
    assert "run SCRIPT --resume STUDY" in said
    for flag in (["--resume", str(tmp_path)], [f"--resume={tmp_path}"]):
        assert said_by(monkeypatch, capsys, "run", "--yes", *flag) == said


@pytest.mark.parametrize("command", [["confirm"], ["audit", "--share=1"]], ids=lambda c: c[0])
def test_a_second_study_that_cannot_begin_leaves_nothing_and_a_growing_one_stays_as_it_was(
    monkeypatch, capsys, tmp_path, command
):
    results, job = tmp_path / "results", tmp_path / "job.py"
    first = write(results / "first", spread(4), command=["python", "job.py"], rungs=(1, 3))
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    job.write_text("import no_such_trainable")
    argv = [*command, str(first)]
    monkeypatch.setattr(sys, "argv", ["tune-cluster", *argv])
    with pytest.raises(ModuleNotFoundError):
        main()
    assert [*results.iterdir()] == [first], "its trainable is gone"
    job.rename(tmp_path / "moved.py")
    assert "its script job.py is not there" in said_by(monkeypatch, capsys, *argv)
    assert [*results.iterdir()] == [first]
    second = results / f"first-{command[0]}"
    field = {"confirm": {"confirms": {"study": "first", "top": 5, "seeds": 2}}}
    field["audit"] = {"audits": {"study": "first", "share": 0.1}}
    write(second, [], **field[command[0]])
    before = (second / "study.json").read_text()
    grown = ["--seeds=9"] if command == ["confirm"] else []
    assert "its script job.py is not there" in said_by(monkeypatch, capsys, *argv, *grown)
    assert (second / "study.json").read_text() == before


@pytest.mark.long
def test_a_job_is_run_and_its_study_resumed(cluster_address, tmp_path):
    def tune_cluster(*argv):
        command = [sys.executable, "-m", "tune_cluster", *argv, "--address", cluster_address]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    script = str(ROOT / "tests" / "golden" / "descent.py")
    tune_cluster("run", script, "--trials", "2", "--max-epochs", "2", "--name", "small")
    study = tmp_path / "results" / "small"
    assert [row["status"] for row in table_of(study)] == ["finished"] * 2
    tune_cluster("resume", "results/small", "--trials", "3")
    assert [row["status"] for row in table_of(study)] == ["finished"] * 3
    assert json.loads((study / "study.json").read_text())["command"][1] == script


@pytest.mark.parametrize("flag", ["--dataset", "--model", "--data-dir"])
def test_a_flag_that_a_job_has_no_use_for_is_neither_listed_nor_accepted(
    monkeypatch, capsys, tmp_path, flag
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    script = str(ROOT / "tests" / "golden" / "descent.py")
    assert flag in said_by(monkeypatch, capsys, "run", script, flag, "digits")
    monkeypatch.setattr(sys, "argv", ["tune-cluster", "run", script, "--help"])
    with pytest.raises(SystemExit):
        main()
    assert flag not in capsys.readouterr().out
