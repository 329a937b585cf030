"""Knowledge that a new study takes over from earlier ones: trials, or good configurations."""

import json

import pytest

from search_spaces.searchers.grid_search import GridSearch
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.searchers.tpe_search import TPESearch
from search_spaces.trial_events import Earlier
from tests.in_process import SPACE, study_in
from tests.journals import read_events
from tests.studies import about, about_this
from tune_cluster.storage.s3 import S3Store
from tune_cluster.study.journal import JOURNAL
from tune_cluster.study.study_file import STUDY_FILE, write_json


def earlier_study(
    directory,
    *,
    metric="score",
    mode="max",
    trials=12,
    trainable="tests.in_process.Scored",
    best=0.8,
    failed=0.3,
):
    """A study whose best quality is 0.8, and whose trials below 0.3 failed."""
    directory.mkdir(parents=True)
    write_json(directory / STUDY_FILE, about(metric=metric, mode=mode, trainable=trainable))
    events = []
    for trial in range(trials):
        quality = trial / trials
        config = {"quality": quality, "seed": 3, "epochs": 5}
        events.append({"event": "suggested", "trial": trial, "config": config})
        if quality < failed:
            events.append({"event": "ended", "trial": trial, "status": "failed", "epoch": 1})
            continue
        metrics = {metric: -abs(quality - best)}
        events.append({"event": "result", "trial": trial, "epoch": 1, "metrics": metrics})
        if trial < trials - 1:
            events.append({"event": "ended", "trial": trial, "status": "finished", "epoch": 1})
    (directory / JOURNAL).write_text("".join(json.dumps(event) + "\n" for event in events))
    return directory


def begun(directory, warm_start=None, *, searcher=None, **options):
    """A study, open, with its searcher."""
    searcher = searcher or TPESearch(SPACE, seed=0, startup=5)
    study = study_in(directory, at_once=8, searcher=searcher, warm_start=warm_start, **options)
    study.open(about_this(study), [])
    study.begin()
    return study, study.tune_config.search_alg


def test_the_first_proposals_are_where_the_earlier_study_was_good(tmp_path):
    earlier = earlier_study(tmp_path / "earlier")
    study, searcher = begun(tmp_path / "new", earlier)
    qualities = [searcher.suggest(f"t{number}")["quality"] for number in range(4)]
    study.close("finished")
    assert study.searcher.learned == f"11 of 11 trials of {earlier} are in this space"
    assert all(quality > 0.5 for quality in qualities)
    assert len(study.trials) == 4, "those of the other study are not trials of this one"


def test_a_resume_does_not_need_the_earlier_study(tmp_path):
    earlier = earlier_study(tmp_path / "earlier")
    study, searcher = begun(tmp_path / "new", earlier)
    whole = [searcher.suggest(f"t{number}") for number in range(3)]
    study.close("interrupted")
    before = [e for e in read_events(tmp_path / "new" / JOURNAL) if e["event"] == "earlier"]
    assert len(before) == 11

    (earlier / STUDY_FILE).unlink()
    study, searcher = begun(tmp_path / "new", earlier)
    again = [searcher.suggest(f"t{number}") for number in range(3)]
    study.close("interrupted")
    assert again == whole
    after = [e for e in read_events(tmp_path / "new" / JOURNAL) if e["event"] == "earlier"]
    assert after == before


def test_trials_out_of_the_space_teach_nothing(tmp_path):
    earlier = earlier_study(tmp_path / "earlier")
    lines = (earlier / JOURNAL).read_text().replace('"quality": 0.75', '"quality": 7.5')
    (earlier / JOURNAL).write_text(lines)
    study, _ = begun(tmp_path / "new", earlier)
    study.close("finished")
    assert study.searcher.learned.startswith("10 of 11")


@pytest.mark.parametrize(
    ("had", "fixed", "learned"),
    [
        ({"optimizer": "adamw"}, {"optimizer": "adamw"}, True),
        ({"optimizer": "sgd"}, {"optimizer": "adamw"}, False),
        # The catalogue's default is the value that it had.
        ({}, {"optimizer": "adamw"}, False),
        ({}, {"optimizer": "sgd"}, True),
        ({"model": "cnn", "channels": [32, 64]}, {"model": "cnn", "channels": (32, 64)}, True),
        ({"epochs": 3}, {"epochs": 27}, True),
        # A value that the new trials lack too is its default in them.
        ({"optimizer": "adam"}, {}, False),
        ({"dropout": 0.5}, {}, False),
        ({"dropout": 0.1}, {}, True),
        ({"own": 1}, {}, False),
        # Of some the default depends on others, and some are not there at all.
        ({}, {"momentum": 0.0}, False),
        ({"model": "cnn"}, {"model": "cnn", "channels": (16, 32)}, False),
        ({"optimizer": "adamw"}, {"optimizer": "adamw", "learning_rate": 1e-3}, True),
        ({"optimizer": "adamw"}, {"optimizer": "adamw", "learning_rate": 1e-2}, False),
        ({"optimizer": "adam", "momentum": 0.5}, {"optimizer": "adam"}, True),
    ],
)
def test_trials_that_differ_in_what_is_not_searched_teach_nothing(had, fixed, learned):
    searcher = TPESearch(SPACE.fix(**fixed), seed=0)
    config = {"quality": 0.5, **had}
    earlier = Earlier(study="e0", config=config, values={"1": 0.5}, status="finished")
    searcher.on_event(earlier, replay=False)
    assert searcher.learned.startswith(f"{int(learned)} of 1 ")


def test_a_study_that_looked_for_something_else_is_an_error(tmp_path):
    earlier = earlier_study(tmp_path / "earlier", metric="loss", mode="min")
    with pytest.raises(ValueError, match="its objective is the min of loss, that of this study"):
        begun(tmp_path / "new", earlier)
    with pytest.raises(ValueError, match=r"--warm-start .*: no study is there"):
        begun(tmp_path / "new", tmp_path / "nowhere")
    assert not (tmp_path / "new").exists()


def learning(directory, folder, *, trials=16, searcher=None):
    """A study that begins where those in `folder` were good."""
    searcher = searcher or RandomSearch(SPACE, seed=0)
    return begun(directory, searcher=searcher, trials=trials, learn_from=str(folder))


def qualities_of(source, count):
    return [source.suggest(f"t{number}")["quality"] for number in range(count)]


def test_a_quarter_of_the_trials_begin_where_earlier_studies_were_good(tmp_path):
    earlier_study(tmp_path / "results" / "earlier")
    study, source = learning(tmp_path / "new", tmp_path / "results")
    found = qualities_of(source, 16)
    study.close("finished")
    alone = [RandomSearch(SPACE, seed=0).point(index)["quality"] for index in range(16)]
    began = len(study.searcher.earlier_points.points)
    assert 1 <= began <= 4
    assert found[0] == pytest.approx(10 / 12), "the nearest to 0.8"
    assert found[began:] == alone[began:], "what comes after them is what it would be"
    (note,) = study.notes
    assert "earlier studies of tests.in_process.Scored: 1 in" in note


def test_start_points_of_earlier_studies_are_in_the_journal_for_a_resume(tmp_path):
    earlier = earlier_study(tmp_path / "results" / "earlier")
    study, source = learning(tmp_path / "new", tmp_path / "results")
    whole = qualities_of(source, 3)
    study.close("interrupted")
    points = [e for e in read_events(tmp_path / "new" / JOURNAL) if e["event"] == "start_point"]
    assert points[0]["study"] == str(earlier)
    assert [p["config"] for p in points] == study.searcher.earlier_points.points
    (earlier / STUDY_FILE).unlink()
    study, source = learning(tmp_path / "new", tmp_path / "results")
    again = qualities_of(source, 3)
    study.close("interrupted")
    assert again == whole


def test_studies_of_another_trainable_or_objective_tell_nothing(tmp_path):
    earlier_study(tmp_path / "results" / "other", trainable="Other")
    earlier_study(tmp_path / "results" / "loss", metric="loss", mode="min")
    study, _ = learning(tmp_path / "new", tmp_path / "results")
    study.close("finished")
    assert study.searcher.earlier_points.points == []
    assert "earlier studies of tests.in_process.Scored: 0 in" in study.notes[0]


def test_studies_are_found_beside_each_other_and_in_a_folder_of_a_comparison(tmp_path):
    earlier_study(tmp_path / "results" / "one")
    earlier_study(tmp_path / "results" / "compared" / "random-0")
    study, _ = learning(tmp_path / "new", tmp_path / "results")
    study.close("finished")
    assert "earlier studies of tests.in_process.Scored: 2 in" in study.notes[0]


def test_a_damaged_study_is_named_and_the_others_are_learned_from(tmp_path):
    earlier_study(tmp_path / "results" / "whole")
    damaged = earlier_study(tmp_path / "results" / "damaged")
    (damaged / JOURNAL).write_text("{}\n" + (damaged / JOURNAL).read_text())
    study, _ = learning(tmp_path / "new", tmp_path / "results")
    study.close("finished")
    assert study.searcher.earlier_points.points
    assert "earlier studies of tests.in_process.Scored: 1 in" in study.notes[0]
    assert study.notes[1].startswith(f"not learned from: {damaged}")


def test_studies_in_a_bucket_are_learned_from(bucket, tmp_path):
    local = earlier_study(tmp_path / "local")
    for file in (STUDY_FILE, JOURNAL):
        (S3Store(bucket) / "earlier").write(file, (local / file).read_bytes())
    study, source = learning(tmp_path / "new", bucket)
    first = qualities_of(source, 1)
    study.close("finished")
    assert first == [pytest.approx(10 / 12)]


@pytest.mark.parametrize(
    ("searcher", "folder", "said"),
    [
        (RandomSearch(SPACE, seed=0), "nowhere", "there is no such folder"),
        (GridSearch(SPACE, grid_points=3), "results", "the same 3 points"),
        (RandomSearch(SPACE.fix(quality=0.5), seed=0), "results", "leave the flag out"),
    ],
)
def test_a_study_that_cannot_learn_from_earlier_ones_is_refused_before_anything_is_written(
    tmp_path, searcher, folder, said
):
    earlier_study(tmp_path / "results" / "earlier")
    with pytest.raises(ValueError, match=said):
        learning(tmp_path / "new", tmp_path / folder, searcher=searcher)
    assert not (tmp_path / "new").exists()
