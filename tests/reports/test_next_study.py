"""The next study, from made-up studies: which flags it changes, and which it leaves."""

import subprocess

import pytest

from tests.reports.made_up import spread, study, trial, write
from tune_cluster.reports.commands import next_study as command
from tune_cluster.reports.next_study import next_study
from tune_cluster.study.stored import read_study

JOB = ["python", "job.py", "--trials", "20", "--name", "first", "--yes"]
KNOBS = {"fix": [], "search": []}


def changed(folder, trials, *, words=JOB, options=KNOBS, **more):
    """Return the words of the next command that this one has not."""
    stored = study(folder / "first", trials, command=words, options=options, **more)
    made = next_study(stored, str(folder / "first"))
    return made, made.command[len([w for w in words if w not in ("--name", "first")]) :]


def test_a_range_is_moved_over_the_end_where_the_best_values_are(tmp_path):
    made, words = changed(tmp_path, spread(best=0.1))
    assert words[:2] == ["--search", "learning_rate=log:0.0003162:1"]
    assert words[2:] == ["--learn-from", str(tmp_path)]
    assert "--name" not in made.command
    assert any("learning_rate" in change for change in made.changes)


def test_a_range_that_the_user_gave_is_replaced_and_others_stay(tmp_path):
    words = [*JOB, "--search", "learning_rate=log:1e-4:0.1", "batch_size=32,64"]
    made, _ = changed(tmp_path, spread(best=0.1), words=words)
    at = made.command.index("--search")
    assert made.command[at + 1 : at + 3] == ["batch_size=32,64", "learning_rate=log:0.0003162:1"]
    assert made.command.count("--search") == 1


def test_a_healthy_study_is_narrowed_to_where_its_best_trials_are(tmp_path):
    _, words = changed(tmp_path, spread(60))
    low, high = (float(end) for end in words[1].split(":")[1:])
    assert 1e-4 < low < 1e-2 < high < 1e-1


def test_epochs_and_trials_are_those_of_the_advice(tmp_path):
    late = spread(6, score=lambda epoch: 0.5 + 0.03 * epoch)
    made, _ = changed(tmp_path, late)
    assert made.command[made.command.index("--max-epochs") + 1] == "24"
    assert made.command[made.command.index("--trials") + 1] == "10"
    assert made.command.count("--trials") == 1


def test_an_advice_that_the_job_has_no_flag_for_is_left_and_named(tmp_path):
    made, words = changed(tmp_path, spread(best=0.1), options={})
    assert words == ["--learn-from", str(tmp_path)]
    assert any("learning_rate" in advice for advice in made.left)


def test_advice_for_the_trainables_of_the_project_is_not_given_to_a_users_script(tmp_path):
    diverging = [
        *spread(14, best=0.03, high=0.03),
        *(trial(0.1, "diverged", 1, 0.04 + at / 100) for at in range(5)),
    ]
    made, _ = changed(tmp_path / "own", diverging, options={"search": []})
    assert "--fix" not in made.command
    made, _ = changed(tmp_path / "ours", diverging)
    at = made.command.index("--fix")
    assert made.command[at + 1 : at + 3] == ["epochs_warmup=1", "grad_clip_norm=1.0"]


def test_an_experiment_of_ray_tune_has_no_command_to_change(tmp_path):
    stored = study(tmp_path, spread())
    plain = stored._replace(about={**stored.about, "command": []})
    with pytest.raises(ValueError, match="no command"):
        next_study(plain, str(tmp_path))


def test_the_script_runs_the_command_whatever_the_names(tmp_path, capsys):
    odd = 'it\'s $(odd) "name"'
    words = ["printf", "%s\\n", "--note", odd]
    folder = write(tmp_path / odd, spread(best=0.1), command=words, options=KNOBS)
    command(str(folder))
    assert capsys.readouterr().out.splitlines()[-1].split()[0] == "run"
    done = subprocess.run(
        ["sh", str(folder / "next.sh"), "more"], capture_output=True, text=True, check=True
    )
    made = next_study(read_study(folder), str(folder))
    assert done.stdout.splitlines() == [*made.command[2:], "more"]
