"""`tune-cluster train PRESET`, as a person types it."""

import json
import os
import re
import subprocess
import sys

import pytest

from search_spaces.knobs import Knobs
from tests.conftest import JOB, ROOT, journal_of, results_of
from trainables.batch_size_flags import BatchSizeFlags
from trainables.image.options import PRESETS, DataFlags
from trainables.prediction.metric_flags import MetricFlags
from tune_cluster import Options
from tune_jobs.train_preset import job

SCRIPT = JOB.with_name("train_preset.py")
TINY = ("mlp", "--dataset", "digits", "--max-epochs", "3", "--max-concurrent", "1")


def tune_cluster(folder, *arguments):
    """`tune-cluster …` in `folder`; `(exit code, output)`."""
    done = subprocess.run(
        [sys.executable, "-m", "tune_cluster", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def two_seeds(cluster_address, tmp_path_factory):
    """One training each: the study's directory, and the output."""
    folder = tmp_path_factory.mktemp("two")
    argv = ("train", *TINY, "--seeds", "2", "--name", "two", "--address", cluster_address)
    code, output = tune_cluster(folder, *argv)
    assert code == 0, output
    return folder / "results" / "two", output


@pytest.mark.long
def test_a_preset_is_trained_under_several_seeds(two_seeds):
    study, output = two_seeds
    assert re.search(r"^val_accuracy +0\.\d{4} ± 0\.\d{4} over 2 of 2 seeds$", output, re.MULTILINE)
    assert re.search(
        r"^test_accuracy +0\.\d{4} ± 0\.\d{4} over 2 of 2 seeds$", output, re.MULTILINE
    )
    assert "alone" not in output, "the test set was used for both"
    assert f"{SCRIPT} mlp" in output, "what is to be typed again"
    seeds = json.loads((study / "seeds.json").read_text())["seeds"]
    assert len({one["seed"] for one in seeds}) == 2
    configs = [e["config"] for e in journal_of(study) if e["event"] == "suggested"]
    assert [c.pop("seed") for c in configs] == [one["seed"] for one in seeds]
    assert configs[0] == configs[1]


@pytest.mark.long
def test_the_training_of_a_preset_can_be_stopped_and_resumed(run_job, two_seeds, tmp_path):
    whole, _ = two_seeds
    halted = (*TINY, "--seeds", "2", "--name", "halted", "--epoch-budget", "2")
    code, output = run_job(*halted, script=SCRIPT)
    assert code == 0, output
    assert "ended by       epoch budget" in output
    halted = tmp_path / "results" / "halted"
    code, output = run_job("--resume", str(halted), "--epoch-budget", "100", script=SCRIPT)
    assert code == 0, output
    assert "over 2 of 2 seeds" in output
    assert results_of(halted) == results_of(whole)


@pytest.mark.parametrize(
    ("argv", "said"),
    [(("fit",), "error: fit is no command"), (("train", "vgg"), "'mlp', 'cnn'")],
)
def test_an_unknown_command_or_preset_is_refused(tmp_path, argv, said):
    code, output = tune_cluster(tmp_path, *argv)
    assert code == 2
    assert said in output
    assert not list(tmp_path.rglob("study.json"))


def tuner(preset="cnn", seeds=2, **options):
    return job(
        Options(**options),
        images=DataFlags(dataset="digits"),
        knobs=Knobs(),
        batch=BatchSizeFlags(),
        scoring=MetricFlags(),
        preset=preset,
        seeds=seeds,
    )


@pytest.mark.parametrize(
    ("options", "seeds", "said"),
    [
        ({}, 0, "--seeds must be at least 1, got 0"),
        ({"trials": 4}, 2, "--seeds 2 --trials 4: each is one training; give one"),
    ],
)
def test_options_that_contradict_each_other_are_refused(options, seeds, said):
    with pytest.raises(ValueError, match=said):
        tuner(seeds=seeds, **options)


def test_help_lists_the_commands(tmp_path):
    code, output = tune_cluster(tmp_path, "--help")
    assert code == 0
    assert re.search(r"^train +Train a preset that earlier studies", output, re.MULTILINE)


@pytest.mark.parametrize(("seeds", "trainings"), [(2, 2), (None, 4)])
def test_a_smoke_test_trains_the_given_number_of_seeds(seeds, trainings):
    options = {"smoke_test": True, "max_epochs": 3}
    built = tuner("mlp", seeds, **options)
    assert built.settled(Options(**options)).trials == trainings


def test_a_preset_trains_for_its_own_number_of_epochs():
    assert tuner().settled(Options()).max_epochs == PRESETS["cnn"].epochs
    assert tuner(max_epochs=3).settled(Options(max_epochs=3)).max_epochs == 3
