"""A study in this process, around trainables that a test makes up."""

import json
from contextlib import ExitStack

import pytest
from ray import tune
from rich.console import Console

from search_spaces.hyperparameter import Hyperparameter
from search_spaces.schedulers.asha import ASHA
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.space import Space
from tests.journals import trials_in
from tune_cluster import Options, RunConfig, TuneConfig, Tuner
from tune_cluster.execution.command_line import Command
from tune_cluster.execution.launcher import prepare
from tune_cluster.execution.ray_tune.settings import TUNE_SETTINGS
from tune_cluster.execution.ray_tune.study import Study
from tune_cluster.execution.summary import exit_code
from tune_cluster.study.directory import StudyDirectory
from tune_cluster.study.journal import JOURNAL
from tune_cluster.study.study_file import STUDY_FILE

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


class Scored(tune.Trainable):
    """Its checkpoints are empty."""

    def step(self):
        return {"score": self.config["quality"]}

    def save_checkpoint(self, checkpoint_dir):
        pass


def study_in(
    directory,
    events=None,
    *,
    at_once=2,
    trainable=Scored,
    searcher=None,
    scheduler=None,
    dataset=None,
    mode="max",
    warm_start=None,
    inspection=None,
    **options,
):
    """A study with the given `events` so far, and that many trials at once."""
    if events is not None:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / JOURNAL).write_text("".join(json.dumps(event) + "\n" for event in events))
    tuner = Tuner(
        trainable,
        tune_config=TuneConfig(
            metric="score",
            mode=mode,
            search_alg=searcher or RandomSearch(SPACE, seed=0),
            scheduler=scheduler,
            warm_start=warm_start,
        ),
        dataset=dataset,
    )
    options = Options(**{"trials": 8, "max_epochs": 9, **options})
    return Study(directory, tuner, options, max_concurrent=at_once, inspection=inspection)


def names(folder):
    """Return the content of a folder."""
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def run_study(cluster_address, tmp_path, monkeypatch):
    """Runs a trainable as a study of its own; `(exit code, trials by index, study)`."""
    for name, value in TUNE_SETTINGS.items():
        monkeypatch.setenv(name, value)
    # A worker of the tests has no script, and a study is confirmed by that of its command.
    monkeypatch.setattr("sys.argv", [__file__])

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
        callbacks=(),
        **options,
    ):
        tuner = Tuner(
            trainable,
            tune_config=TuneConfig(
                metric="score",
                mode="max",
                search_alg=searcher or RandomSearch(SPACE, seed=0),
                scheduler=scheduler or ASHA(max_epochs=max_epochs, grace_period=1),
            ),
            run_config=RunConfig(callbacks=callbacks),
            dataset=dataset,
        )
        options = Options(
            trials=trials,
            max_epochs=max_epochs,
            max_concurrent=max_concurrent,
            storage_path=str(tmp_path),
            name=name,
            **{"report": False, **options},
        )
        with ExitStack() as held, (tmp_path / "output").open("w") as file:
            command, console = Command(options, {}), Console(file=file)
            # An existing study is resumed.
            folder = tmp_path / name
            if (folder / STUDY_FILE).exists():
                directory = StudyDirectory.find(str(folder), held)
            else:
                directory = StudyDirectory(folder, new=True) if folder.exists() else None
            begun = prepare(command, tuner, directory, held, console=console, argv=None)
            code = exit_code(begun.run(), begun.next_step)
        return code, trials_in(begun.study.directory / JOURNAL), begun.study

    return run_it
