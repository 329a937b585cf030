"""Values of every kind in a whole study: in a trial, the table, `best/` and `evaluate`."""

import csv
import json

import pytest
from ray import tune

from search_spaces.hyperparameter import Hyperparameter
from search_spaces.schedulers.base import StudyScheduler
from search_spaces.searchers.grid_search import GridSearch
from search_spaces.space import Space

VALUES = ((1, (2, (3.0,))), None, [64, [32, (1,)]], True, 1, 1.0, "1", "", 2**64 - 1, 1e-300)
TOLD = [repr(value) for value in VALUES]
SPACE = Space(
    "own",
    (
        Hyperparameter(
            name="v",
            meaning="own",
            default=None,
            kind="optimization",
            role="scientific",
            advice="own",
            values=VALUES,
        ),
        Hyperparameter(
            name="decay",
            meaning="own",
            default=0.5,
            kind="optimization",
            role="nuisance",
            advice="own",
            values=(None, 0.5),
            condition=("v", (None,)),
        ),
    ),
)


class Exact(tune.Trainable):
    """A trainable whose score identifies its value, the first of them the best."""

    reuse_actors = True

    def setup(self, config):
        self.place = TOLD.index(repr(config["v"]))

    def reset_config(self, new_config):
        self.setup(new_config)
        return True

    def step(self):
        return {"score": -float(self.place), "done": True}

    def save_checkpoint(self, folder):
        pass

    def load_checkpoint(self, folder):
        pass

    @staticmethod
    def evaluate(config, folder, dataset):
        return {"place": TOLD.index(repr(config["v"]))}


def begun(folder, configs):
    """A study that was killed when its first trials had begun, as its journal has it."""
    folder.mkdir()
    events = [
        {"event": kind, "trial": trial, "time": 0.0, **more}
        for trial, config in enumerate(configs)
        for kind, more in (("suggested", {"config": config}), ("started", {}))
    ]
    (folder / "journal.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))


@pytest.mark.slow
def test_every_value_is_the_same_after_a_resume_and_in_every_file_of_the_study(run_study, tmp_path):
    points = [dict(GridSearch(SPACE).point(index)) for index in range(len(VALUES) + 1)]
    # The rest of the trials has its values from the space, these from the journal.
    begun(tmp_path / "study", points[:5])
    code, trials, study = run_study(
        Exact,
        trials=len(points),
        max_epochs=1,
        searcher=GridSearch(SPACE),
        scheduler=StudyScheduler(),
    )
    assert code == 0
    assert [trial.status for trial in trials.values()] == ["finished"] * len(points)
    places = [-int(trial.results[1]["score"]) for _, trial in sorted(trials.items())]
    assert places == [TOLD.index(repr(point["v"])) for point in points]
    with (study.directory / "trials.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["decay"] for row in rows[:4]] == ["", "None", "0.5", ""]
    assert [row["v"] for row in rows[:3]] == ["[1, [2, [3.0]]]", "None", "None"]
    best = json.loads((study.directory / "best" / "best.json").read_text())
    assert best["config"] == {"v": [1, [2, [3.0]]]}
    assert best["test"] == {"place": 0}
