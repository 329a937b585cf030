"""A study that learns from earlier ones, which help or mislead: real Ray."""

import pytest
from ray import tune

from search_spaces.schedulers.base import StudyScheduler
from tests.journals import read_events
from tests.study.test_earlier import earlier_study
from tune_cluster.study.journal import JOURNAL

pytestmark = pytest.mark.slow


def scored():
    """Made in a function, so that it travels to the workers by value."""

    class Scored(tune.Trainable):
        reuse_actors = True

        def reset_config(self, new_config):
            self.config = new_config
            return True

        def step(self):
            return {"score": self.config["quality"], "done": True}

        def save_checkpoint(self, checkpoint_dir):
            pass

    return Scored


@pytest.mark.parametrize(
    ("bests", "helps"), [((0.65, 0.75, 0.85, 0.95), True), ((0.05, 0.15, 0.25, 0.35), False)]
)
def test_the_best_points_of_earlier_studies_are_tried_as_long_as_they_are_good(
    run_study, tmp_path, bests, helps
):
    trainable = scored()
    name = f"{trainable.__module__}.{trainable.__name__}"
    for best in bests:
        earlier_study(
            tmp_path / "earlier" / f"{best}", best=best, failed=0.0, trials=20, trainable=name
        )
    code, trials, study = run_study(
        trainable,
        trials=16,
        max_concurrent=1,
        scheduler=StudyScheduler(),
        learn_from=str(tmp_path / "earlier"),
    )
    assert code == 0
    journal = read_events(study.directory / JOURNAL)
    points = [e["config"]["quality"] for e in journal if e["event"] == "start_point"]
    assert len(points) == 4
    tried = [index for index, trial in trials.items() if trial.config["quality"] in points]
    assert tried[:3] == [0, 1, 2]
    assert len(tried) == (4 if helps else 3)
    left_out = [e for e in journal if e["event"] == "start_points_left_out"]
    assert [e["points"] for e in left_out] == ([] if helps else [1])
    assert (
        "left out   1 start point of earlier studies" in (tmp_path / "output").read_text()
    ) is not helps
