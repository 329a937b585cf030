"""A study in this process, around trainables that a test makes up."""

import json

import pytest
from ray import tune
from rich.console import Console

from search_spaces.hyperparameter import Hyperparameter
from search_spaces.schedulers.asha import ASHA
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.space import Space
from tests.journals import trials_in
from tune_cluster.execution.flags import Flags
from tune_cluster.execution.launch import TUNE_SETTINGS, run
from tune_cluster.execution.question import begin
from tune_cluster.execution.ray_tune.study import Study
from tune_cluster.study.journal import JOURNAL

QUALITY = Hyperparameter(
    name="quality",
    meaning="what a trial is worth",
    default=0.5,
    kind="network",
    role="scientific",
    advice="for tests",
    low=0.0,
    high=1.0,
)
SPACE = Space("quality", (QUALITY,))


def study_in(directory, events=None, *, at_once=2, **flags):
    """A study that has had `events` until now, of so many trials at once."""
    directory.mkdir(parents=True, exist_ok=True)
    if events is not None:
        (directory / JOURNAL).write_text("".join(json.dumps(event) + "\n" for event in events))
    flags = Flags(**{"trials": 8, "max_epochs": 9, **flags})
    return Study(directory, flags, max_concurrent=at_once, metric="score", mode="max")


def names(folder):
    """What lies in a folder."""
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def run_study(cluster_address, tmp_path, monkeypatch):
    """Runs a trainable as a study of its own; `(exit code, trials by index, study)`."""
    for name, value in TUNE_SETTINGS.items():
        monkeypatch.setenv(name, value)

    def run_it(
        trainable,
        *,
        trials=6,
        max_epochs=9,
        searcher=None,
        scheduler=None,
        max_concurrent=2,
        name="study",
        dataset=None,
        **flags,
    ):
        flags = Flags(
            trials=trials, max_epochs=max_epochs, storage_path=str(tmp_path), name=name, **flags
        )
        study = Study(
            tmp_path / name, flags, max_concurrent=max_concurrent, metric="score", mode="max"
        )
        tuner = tune.Tuner(
            study.trainable(trainable, dataset),
            tune_config=study.tune_config(
                searcher or RandomSearch(SPACE, seed=0), scheduler or ASHA(max_epochs=max_epochs)
            ),
            run_config=study.run_config(),
        )
        study.open({"schema_version": 1}, [])
        with (tmp_path / "output").open("w") as file:
            console, command = Console(file=file), ["python", "job.py"]
            code = run(console, study, tuner, command, begin(console, study, "resume"))
        return code, trials_in(study.directory / JOURNAL), study

    return run_it
