"""Seeds of one configuration: what each came to, and the spread between them."""

import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from ray import tune

from search_spaces.searchers.random_search import RandomSearch
from search_spaces.space import Space
from tests.in_process import SPACE, study_in
from tune_cluster.execution.replicates import REPLICATES_FILE, write_replicates
from tune_cluster.storage.checkpoints import TrialCheckpoints, dirname_of


class Trained(tune.Trainable):
    """Its test score is what the checkpoint says."""

    @staticmethod
    def evaluate(config, checkpoint_dir, dataset):
        return {"test_score": float(Path(checkpoint_dir, "score").read_text())}


def save(score, folder):
    Path(folder, "score").write_text(str(score))


def study_of(folder, scores, *, space=None, status="finished"):
    """A study in which trial n has reached `scores[n]`, on the test set a tenth less."""
    events = []
    for index, score in enumerate(scores):
        events += [
            {"event": "suggested", "trial": index, "config": {"quality": 0.5, "seed": 70 + index}},
            {"event": "result", "trial": index, "epoch": 1, "metrics": {"score": score}},
            {"event": "ended", "trial": index, "epoch": 1, "status": status},
        ]
    study = study_in(folder, events, trials=len(scores))
    study.parts.trainable = Trained
    study.parts.strategy = RandomSearch(
        space or replace(SPACE, parameters=(), fixed=(("quality", 0.5),)), seed=0
    )
    study.trials_dir.mkdir()
    for index, score in enumerate(scores):
        checkpoints = TrialCheckpoints(study.checkpoints / dirname_of(index), "max")
        saved = partial(save, score - 0.1)
        checkpoints.write(1, score, {"score": score}, saved)
    return study


def test_mean_and_standard_deviation_are_told_for_the_metric_and_the_test_set(tmp_path):
    study = study_of(tmp_path, [0.7, 0.8, 0.9])
    assert write_replicates(study) == [
        ("score", "0.8000 ± 0.1000 over 3 of 3 seeds"),
        ("test_score", "0.7000 ± 0.1000 over 3 of 3 seeds"),
    ]
    told = json.loads((study.directory / REPLICATES_FILE).read_text())["seeds"]
    assert [one["seed"] for one in told] == [70, 71, 72]
    assert [one["value"] for one in told] == [0.7, 0.8, 0.9]
    assert [one["test"]["test_score"] for one in told] == pytest.approx([0.6, 0.7, 0.8])


def test_one_seed_has_no_deviation(tmp_path):
    assert write_replicates(study_of(tmp_path, [0.7]))[0] == ("score", "0.7000 over 1 of 1 seeds")


def test_a_seed_without_its_checkpoint_is_in_no_mean_of_the_test_set(tmp_path):
    study = study_of(tmp_path, [0.7, 0.8, 0.9])
    shutil.rmtree(study.trials_dir / dirname_of(0))
    assert write_replicates(study) == [
        ("score", "0.8000 ± 0.1000 over 3 of 3 seeds"),
        ("test_score", "0.7500 ± 0.0707 over 2 of 3 seeds"),
    ]


def test_a_seed_that_has_not_finished_does_not_count(tmp_path):
    study = study_of(tmp_path, [0.7, 0.8], status="diverged")
    assert write_replicates(study) == []


def test_before_the_last_seed_has_ended_the_test_set_is_not_used(tmp_path):
    study = study_of(tmp_path, [0.7, 0.8])
    study.total = 3
    assert write_replicates(study) == []
    assert not (study.directory / REPLICATES_FILE).exists()


def test_a_study_that_searches_has_no_replicates(tmp_path):
    """There the best of many was chosen, and the mean of what was tried says nothing."""
    study = study_of(tmp_path, [0.7, 0.8], space=Space("quality", SPACE.parameters))
    assert write_replicates(study) == []
    assert not (study.directory / REPLICATES_FILE).exists()
