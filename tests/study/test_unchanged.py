"""A script that has changed since the study was started that it resumes."""

import json
from dataclasses import replace

import pytest

from search_spaces.schedulers.asha import ASHA
from search_spaces.searchers.grid_search import GridSearch
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.searchers.sobol_search import SobolSearch
from search_spaces.space import Space
from tests.in_process import QUALITY, SPACE
from tune_cluster.execution.command_line import Command
from tune_cluster.execution.description import describe
from tune_cluster.execution.options import Options
from tune_cluster.execution.ray_tune.study import Study
from tune_cluster.study.journal import JOURNAL
from tune_cluster.study.study_file import STUDY_FILE, read_study_file, write_json
from tune_cluster.study.unchanged import check_unchanged

OTHER = replace(QUALITY, name="other")
TWO = Space("two", (QUALITY, OTHER))


def train(config):
    """Any."""


def train_otherwise(config):
    """Another one."""


def job(directory, searcher=None, scheduler=None, trainable=train):
    """What a script says, and how `study.json` tells it."""
    study = Study(directory, Options(), max_concurrent=1, metric="score", mode="max")
    study.trainable(trainable)
    study.tune_config(searcher or RandomSearch(TWO, seed=0), scheduler or ASHA(max_epochs=9))
    return describe(study, Command(Options(), {}), [])


@pytest.fixture
def begun(tmp_path):
    """A study that a script has started."""
    write_json(tmp_path / STUDY_FILE, job(tmp_path))
    events = [{"event": "suggested", "trial": 0, "config": {"quality": 0.5, "other": 0.5}}]
    (tmp_path / JOURNAL).write_text("".join(json.dumps(event) + "\n" for event in events))
    return tmp_path


def test_a_script_that_says_the_same_goes_on(begun):
    assert job(begun)["strategy"] == read_study_file(begun)["strategy"]
    check_unchanged(begun, metric="score", mode="max")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"searcher": SobolSearch(TWO, seed=0)}, "searcher was RandomSearch, here SobolSearch"),
        ({"searcher": RandomSearch(SPACE, seed=0)}, "other was .*'high': 1.0.*, here absent"),
        (
            {"searcher": RandomSearch(Space("wider", (QUALITY, replace(OTHER, high=2.0))), seed=0)},
            r"other was .*'high': 1\.0.*, here .*'high': 2\.0",
        ),
        (
            {"searcher": RandomSearch(Space("turned", (OTHER, QUALITY)), seed=0)},
            r"order .* was \['quality', 'other'\], here \['other', 'quality'\]",
        ),
        (
            {"searcher": RandomSearch(TWO.fix(preset="new"), seed=0)},
            "preset was absent, here new",
        ),
        ({"scheduler": ASHA(max_epochs=9, grace_period=2)}, "grace_period was 1, here 2"),
        ({"scheduler": ASHA(max_epochs=9, reduction_factor=2)}, "reduction_factor was 3, here 2"),
        ({"scheduler": ASHA(max_epochs=9, rung_rule="ray")}, "rung_rule was .*, here ray"),
        ({"scheduler": ASHA(max_epochs=27)}, "max_epochs was 9, here 27"),
        ({"trainable": train_otherwise}, r"trainable was .*\.train, here .*\.train_otherwise"),
    ],
)
def test_what_gives_another_meaning_to_the_known_trials_is_refused_with_both_values(
    begun, changed, said
):
    with pytest.raises(ValueError, match=said):
        job(begun, **changed)


def test_another_metric_or_mode_is_refused(begun):
    with pytest.raises(ValueError, match="mode was max, here min"):
        check_unchanged(begun, metric="score", mode="min")
    with pytest.raises(ValueError, match="metric was score, here loss"):
        check_unchanged(begun, metric="loss", mode="max")


def branches(low):
    """Two hyperparameters of one name, of which one has another range."""
    kind = replace(QUALITY, name="kind", low=None, high=None, values=("a", "b"))
    first = replace(OTHER, condition=("kind", ("a",)), low=low)
    return Space("branches", (kind, first, replace(OTHER, condition=("kind", ("b",)))))


def test_another_range_in_one_branch_and_a_fixed_none_are_seen(tmp_path):
    for space, changed, said in (
        (branches(0.0), branches(0.5), "other for .*'low': 0.0.*, here .*'low': 0.5"),
        (TWO, TWO.fix(clip=None), "clip was absent, here None"),
    ):
        study = tmp_path / space.name
        study.mkdir()
        write_json(study / STUDY_FILE, job(study, RandomSearch(space, seed=0)))
        with pytest.raises(ValueError, match=said):
            job(study, RandomSearch(changed, seed=0))


def test_a_grid_of_other_points_is_refused(tmp_path):
    write_json(tmp_path / STUDY_FILE, job(tmp_path, GridSearch(TWO, grid_points=3)))
    with pytest.raises(ValueError, match="points was 9, here 16"):
        job(tmp_path, GridSearch(TWO, grid_points=4))


def test_a_study_of_an_earlier_version_goes_on_and_has_from_then_on_what_it_lacked(begun):
    stored = read_study_file(begun)
    write_json(
        begun / STUDY_FILE, {k: v for k, v in stored.items() if k not in ("trainable", "points")}
    )
    again = job(begun, trainable=train_otherwise)
    assert again["trainable"].endswith("train_otherwise")
