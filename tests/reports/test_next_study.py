"""The next study, from made-up studies: which flags it changes, and which it leaves."""

import subprocess

import pytest

from tests.reports.made_up import spread, study, trial, write
from tests.reports.test_confirm import SCORE, beside, clear, even, play
from tune_cluster.reports.commands import next_study as command
from tune_cluster.reports.confirm import Race
from tune_cluster.reports.next_study import next_study
from tune_cluster.reports.readable import readable
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


RATES = {"defaults": 1e-3, "trial 3": 1e-2, "trial 5": 5e-5}


def confirmed(folder, value_of, *, seeds=5, rounds=None, **options):
    """The next command of a study with a confirmation whose runs have these values."""
    first = write(folder / "first", spread(best=0.1), command=JOB, options=KNOBS, **options)
    events = play(Race([*RATES], seeds, SCORE), value_of)
    if rounds is not None:
        judged = [at for at, event in enumerate(events) if event.name == "round_judged"]
        events = events[: judged[rounds - 1] + 1]
    beside(folder / "first-confirm", events, seeds, lambda name: {"learning_rate": RATES[name]})
    found = readable(str(first))
    return next_study(found.study, str(first), found.siblings.confirmation)


def test_the_next_study_starts_from_what_is_confirmed_and_not_from_what_is_worse(tmp_path):
    made = confirmed(tmp_path, clear)
    said = "\n".join(made.changes)
    assert "start from the confirmed best: trial 3" in said
    assert "do not start from trial 5, defaults" in said
    assert "best values of this study" not in said
    assert "tie" not in said
    assert "--learn-from" in made.command


def test_a_tie_with_the_defaults_is_said_and_the_range_holds_all_that_are_tied(tmp_path):
    made = confirmed(tmp_path, even, seeds=3)
    said = "\n".join(made.changes)
    assert "start from the 3 confirmed best" in said
    assert "not better than the defaults: a tie" in said
    # The doctor's advice alone begins at 3e-4.
    assert made.command[made.command.index("--search") + 1] == "learning_rate=log:5e-05:1"
    assert "wider than advised" in said


def test_defaults_that_are_better_than_what_was_found_are_named(tmp_path):
    made = confirmed(tmp_path, lambda name, number: 0.9 * (name == "defaults") + 0.01 * number)
    assert any("the defaults are confirmed to be better" in change for change in made.changes)


def test_a_confirmation_that_has_not_ended_counts_as_far_as_it_goes(tmp_path):
    made = confirmed(tmp_path, even, rounds=1)
    assert any("not told apart after 1 of 5 seeds: " in change for change in made.changes)
    assert not any("a tie" in change for change in made.changes)


def test_a_confirmation_that_cannot_be_read_is_named_and_its_study_starts_from_its_best(
    tmp_path, capsys
):
    confirmed(tmp_path, clear)
    (tmp_path / "first-confirm" / "journal.jsonl").write_text("{}\n{}\n")
    command(str(tmp_path / "first"))
    said = capsys.readouterr().out
    assert "notice    its confirmation cannot be read" in said
    assert "start from the best values of this study" in said


def test_a_study_that_follows_another_one_names_that_one(tmp_path):
    confirmed(tmp_path, clear)
    with pytest.raises(ValueError, match=f"tune-cluster next {tmp_path}/first$"):
        next_study(read_study(tmp_path / "first-confirm"), str(tmp_path / "first-confirm"))


def test_values_that_are_fixed_anew_leave_no_start_point_of_the_study(tmp_path):
    diverging = [
        *spread(14, best=0.03, high=0.03),
        *(trial(0.1, "diverged", 1, 0.04 + at / 100) for at in range(5)),
    ]
    made, _ = changed(tmp_path, diverging)
    assert any("do not start from the best of this study" in change for change in made.changes)


def test_the_folder_of_a_study_in_a_bucket_is_learned_from_by_its_address(tmp_path):
    stored = study(tmp_path / "first", spread(), command=JOB, options=KNOBS)
    made = next_study(stored, "s3://bucket/results/first")
    assert made.command[made.command.index("--learn-from") + 1] == "s3://bucket/results"


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
