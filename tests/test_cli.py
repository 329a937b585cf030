"""Every command of `tune-cluster`, with bad input, with none, and without the study: one line."""

import sys

import pytest

from tune_cluster.cli import COMMANDS, main

NEEDS_NOTHING = {"preflight", "hyperparameters"}


def said_by(monkeypatch, capsys, *argv):
    """What a command that is refused has printed on stderr."""
    monkeypatch.setattr(sys, "argv", ["tune-cluster", *argv])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize("argv", [[], ["nonsense"], *([name] for name in COMMANDS)], ids=str)
def test_what_lacks_its_input_is_one_line(monkeypatch, capsys, tmp_path, argv):
    if argv and argv[0] in NEEDS_NOTHING:
        argv = [*argv, "--nonsense"]
    monkeypatch.chdir(tmp_path)
    said = said_by(monkeypatch, capsys, *argv)
    assert said.startswith("error: ")
    assert said.count("\n") == 1


@pytest.mark.parametrize("given", ["missing", "--nonsense", "a\0b", "~nobody-here"], ids=ascii)
@pytest.mark.parametrize("name", COMMANDS)
def test_bad_input_and_a_study_that_is_not_there_are_one_line(
    monkeypatch, capsys, tmp_path, name, given
):
    monkeypatch.chdir(tmp_path)
    said = said_by(monkeypatch, capsys, name, given)
    assert said.startswith("error: ")
    assert said.count("\n") == 1


def test_the_help_lists_every_command(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["tune-cluster", "--help"])
    main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == list(COMMANDS)


def test_a_script_is_run_as_python_runs_it(monkeypatch, capsys, tmp_path):
    (tmp_path / "beside.py").write_text("VALUE = 7")
    (tmp_path / "job.py").write_text("import sys, beside; print(sys.argv[1:], beside.VALUE)")
    monkeypatch.setattr(sys, "argv", ["tune-cluster", "run", str(tmp_path / "job.py"), "--trials"])
    monkeypatch.setattr(sys, "path", list(sys.path))
    main()
    assert capsys.readouterr().out == "['--trials'] 7\n"
