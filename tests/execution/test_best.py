"""The best checkpoint, and its replacement if it is damaged."""

import errno
import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from rich.console import Console

from search_spaces.searchers.random_search import RandomSearch
from search_spaces.space import Space
from tests.execution.test_summary import Evaluated, best_file, study_of
from tests.in_process import SPACE, Scored, names, study_in
from tune_cluster.execution.best import REPLICATES_FILE, keep_best, write_replicates
from tune_cluster.execution.summary import show_summary
from tune_cluster.storage import checkpoints
from tune_cluster.storage.checkpoints import TrialCheckpoints, dirname_of
from tune_cluster.storage.integrity import check_sums
from tune_cluster.storage.retry import StorageLostError, StorageRetry
from tune_cluster.storage.store import LocalStore

TRIALS = [([0.1, 0.6, 0.4], "finished"), ([0.3, 0.5], "finished"), ([0.2], "finished")]


def cut_off(checkpoint):
    (checkpoint / "state").write_text("")


def zeros(checkpoint):
    (checkpoint / "state").write_bytes(bytes((checkpoint / "state").stat().st_size))


def torn(checkpoint):
    (checkpoint / "result.json").write_text("{")


def gone(checkpoint):
    for file in checkpoint.iterdir():
        file.unlink()
    checkpoint.rmdir()


def damage(study, trial, epoch, how=zeros):
    how(study.trials_dir / f"{trial:04d}" / f"checkpoint_{epoch:06d}")


@pytest.mark.parametrize("how", [cut_off, zeros, torn, gone])
def test_a_damaged_best_checkpoint_is_named_and_replaced_by_the_next_best(tmp_path, how):
    study = study_of(tmp_path, TRIALS)
    damage(study, 0, 2, how)
    best = keep_best(study)
    assert (best["trial"], best["epoch"], best["score"]) == (1, 2, 0.5)
    assert best["config"] == study.trials[1].config
    assert best["instead_of"] == {"trial": 0, "epoch": 2, "score": 0.6}
    assert best_file(study) == best
    assert (study.directory / "best" / "state").read_text() == "1 after 2"
    with (tmp_path / "output").open("w") as file:
        show_summary(Console(file=file, width=200), study, best)
    (notice,) = (li for li in (tmp_path / "output").read_text().splitlines() if "NOTICE" in li)
    assert "of trial 0 after epoch 2 (score 0.6000), was not saved" in notice


def test_the_next_best_checkpoint_may_be_another_epoch_of_the_same_trial(tmp_path):
    study = study_of(tmp_path, [([0.7, 0.6], "finished"), ([0.3], "finished")])
    damage(study, 0, 1)
    best = keep_best(study)
    assert (best["trial"], best["epoch"], best["instead_of"]["epoch"]) == (0, 2, 1)


def test_a_checkpoint_damaged_after_its_copy_leaves_the_best_as_it_is(tmp_path):
    study = study_of(tmp_path, TRIALS)
    first = keep_best(study)
    damage(study, 0, 2)
    assert keep_best(study) == first
    assert (study.directory / "best" / "state").read_text() == "0 after 2"
    assert json.loads((study.directory / "best" / "result.json").read_text())["epoch"] == 2


def test_a_failed_evaluation_on_the_test_set_is_printed_and_repeated_by_the_next_session(tmp_path):
    class Fails(Evaluated):
        def evaluate(self, config, checkpoint_dir, dataset):
            raise RuntimeError("out of memory\nmore")

    study = study_of(tmp_path, TRIALS, trainable=Fails())
    best = keep_best(study)
    assert (best["trial"], best["test_error"]) == (0, "RuntimeError: out of memory")
    with (tmp_path / "output").open("w") as file:
        show_summary(Console(file=file, width=200), study, best)
    assert "failed on the test set: RuntimeError: out of" in (tmp_path / "output").read_text()
    assert "test_error" not in best_file(study)
    study.trainable = Evaluated()
    assert keep_best(study)["test"] == {"test_accuracy": 0.75, "test_loss": 0.5}


def taken_away(study):
    study.trials_dir.rename(study.trials_dir.with_name("elsewhere"))


def brought_back(study):
    study.trials_dir.with_name("elsewhere").rename(study.trials_dir)


@pytest.mark.parametrize("moment", ["before", "after it was found"])
def test_unreachable_storage_is_waited_for_and_the_best_checkpoint_is_not_replaced(
    tmp_path, monkeypatch, moment
):
    study = study_of(tmp_path, TRIALS)
    lines = []

    def back(line):
        lines.append(line)
        if not study.trials_dir.exists():
            brought_back(study)

    study.retry = StorageRetry(LocalStore(study.trials_dir), back)
    if moment == "before":
        taken_away(study)
    else:
        found = TrialCheckpoints.of_epoch

        def gone_then(self, epoch):
            checkpoint = found(self, epoch)
            taken_away(study)
            return checkpoint

        monkeypatch.setattr(TrialCheckpoints, "of_epoch", gone_then)
    best = keep_best(study)
    assert "its mount point is away" in lines[0]
    assert (best["trial"], best["epoch"], "instead_of" in best) == (0, 2, False)
    assert (study.directory / "best" / "state").read_text() == "0 after 2"


def test_the_test_set_is_not_used_on_another_checkpoint_when_the_storage_stays_away(
    tmp_path, monkeypatch
):
    trainable = Evaluated()
    study = study_of(tmp_path, TRIALS, trainable=trainable)

    def fails(folder, sums):
        raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(checkpoints, "check_sums", fails)
    with pytest.raises(StorageLostError):
        keep_best(study)
    assert trainable.calls == []


def test_the_best_checkpoint_is_verified_once(tmp_path, monkeypatch):
    study = study_of(tmp_path, TRIALS)
    read = []

    def noted(folder, sums):
        read.append(folder)
        check_sums(folder, sums)

    monkeypatch.setattr(checkpoints, "check_sums", noted)
    keep_best(study)
    assert len(read) == 1


def test_if_all_checkpoints_are_damaged_the_best_value_is_kept_without_a_checkpoint(tmp_path):
    study = study_of(tmp_path, [([0.5], "finished"), ([0.3], "finished")])
    for trial in (0, 1):
        damage(study, trial, 1)
    best = keep_best(study)
    assert (best["trial"], "checkpoint" in best) == (0, False)
    assert names(study.directory / "best") == ["best.json"]


class Trained(Scored):
    """Its test score is the value in the checkpoint."""

    @staticmethod
    def evaluate(config, checkpoint_dir, dataset):
        return {"test_score": float(Path(checkpoint_dir, "score").read_text())}


def save(score, folder):
    Path(folder, "score").write_text(str(score))


def replicates_of(folder, scores, *, space=None, status="finished"):
    """A study in which trial n has reached `scores[n]`, on the test set a tenth less."""
    events = []
    for index, score in enumerate(scores):
        events += [
            {"event": "suggested", "trial": index, "config": {"quality": 0.5, "seed": 70 + index}},
            {"event": "result", "trial": index, "epoch": 1, "metrics": {"score": score}},
            {"event": "ended", "trial": index, "epoch": 1, "status": status},
        ]
    space = space or replace(SPACE, parameters=(), fixed=(("quality", 0.5),))
    searcher = RandomSearch(space, seed=0)
    study = study_in(folder, events, trials=len(scores), trainable=Trained, searcher=searcher)
    study.trials_dir.mkdir()
    for index, score in enumerate(scores):
        checkpoints = TrialCheckpoints(study.checkpoints / dirname_of(index), "max")
        saved = partial(save, score - 0.1)
        checkpoints.write(1, score, {"score": score}, saved)
    return study


def test_mean_and_standard_deviation_are_reported_for_the_metric_and_the_test_set(tmp_path):
    study = replicates_of(tmp_path, [0.7, 0.8, 0.9])
    assert write_replicates(study) == [
        ("score", "0.8000 ± 0.1000 over 3 of 3 seeds"),
        ("test_score", "0.7000 ± 0.1000 over 3 of 3 seeds"),
    ]
    told = json.loads((study.directory / REPLICATES_FILE).read_text())["seeds"]
    assert [one["seed"] for one in told] == [70, 71, 72]
    assert [one["value"] for one in told] == [0.7, 0.8, 0.9]
    assert [one["test"]["test_score"] for one in told] == pytest.approx([0.6, 0.7, 0.8])


def test_one_seed_has_no_standard_deviation(tmp_path):
    assert write_replicates(replicates_of(tmp_path, [0.7]))[0] == (
        "score",
        "0.7000 over 1 of 1 seeds",
    )


def test_a_seed_without_its_checkpoint_is_left_out_of_the_mean_on_the_test_set(tmp_path):
    study = replicates_of(tmp_path, [0.7, 0.8, 0.9])
    shutil.rmtree(study.trials_dir / dirname_of(0))
    assert write_replicates(study) == [
        ("score", "0.8000 ± 0.1000 over 3 of 3 seeds"),
        ("test_score", "0.7500 ± 0.0707 over 2 of 3 seeds"),
    ]


def test_a_seed_that_has_not_finished_does_not_count(tmp_path):
    study = replicates_of(tmp_path, [0.7, 0.8], status="diverged")
    assert write_replicates(study) == []


def test_before_the_last_seed_has_ended_the_test_set_is_not_used(tmp_path):
    study = replicates_of(tmp_path, [0.7, 0.8])
    study.total = 3
    assert write_replicates(study) == []
    assert not (study.directory / REPLICATES_FILE).exists()


def test_a_study_that_searches_has_no_replicates(tmp_path):
    """Where the best of many was chosen, the mean of all is meaningless."""
    study = replicates_of(tmp_path, [0.7, 0.8], space=Space("quality", SPACE.parameters))
    assert write_replicates(study) == []
    assert not (study.directory / REPLICATES_FILE).exists()
