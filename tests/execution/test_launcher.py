"""Checks of a command line before a study begins, and the description of a study."""

import json
import os
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial

import pytest
from ray import tune

from search_spaces.schedulers.asha import ASHA
from search_spaces.schedulers.pbt import PBT
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.space import Space
from tests.in_process import QUALITY, SPACE, names, study_in
from tests.studies import about
from tune_cluster.execution.command_line import parse
from tune_cluster.execution.description import describe
from tune_cluster.execution.launcher import Begun
from tune_cluster.execution.options import Options
from tune_cluster.execution.resume import directory_for, taken_up
from tune_cluster.study.journal import JOURNAL
from tune_cluster.study.study_file import STUDY_FILE, read_study_file, write_json


def job(options, *, grace_period: int = 1, dataset: str | None = None):
    """Which quality?"""


def test_a_new_study_gets_a_directory_with_an_empty_journal(tmp_path):
    argv = ["--storage-path", str(tmp_path / "a" / "results"), "--name", "mine"]
    directory = directory_for(parse(job, argv).options, ExitStack())
    assert directory.path == tmp_path / "a" / "results" / "mine"
    assert names(tmp_path / "a" / "results" / "mine") == [JOURNAL]


def test_a_study_without_a_name_is_named_after_its_job_and_the_time(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["tune_jobs/my_job.py"])
    directory = directory_for(Options(storage_path=str(tmp_path)), ExitStack())
    name, day, clock = directory.path.name.split("-")
    assert (name, len(day), len(clock)) == ("my_job", 8, 6)
    for script in ("", "-c"):
        monkeypatch.setattr("sys.argv", [script])
        found = directory_for(Options(storage_path=str(tmp_path)), ExitStack())
        assert found.path.name.startswith("study-"), "Python may run none"


def test_an_existing_folder_is_refused_and_an_existing_study_is_refused_with_resume(tmp_path):
    argv = ["--storage-path", str(tmp_path), "--name", "mine"]
    (tmp_path / "mine").mkdir()
    with pytest.raises(ValueError, match=r"exists, and has no study that could be resumed"):
        directory_for(parse(job, argv).options, ExitStack())
    (tmp_path / "mine" / STUDY_FILE).touch()
    with pytest.raises(ValueError, match=f"mine exists; give another name, or --resume {tmp_path}"):
        directory_for(parse(job, argv).options, ExitStack())
    assert names(tmp_path / "mine") == [STUDY_FILE]


@pytest.mark.parametrize("below", ["file", "file/deeper"])
def test_a_storage_path_that_cannot_be_written_is_an_error(tmp_path, below):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ValueError, match=f"--storage-path {tmp_path / below}: cannot be written"):
        directory_for(parse(job, ["--storage-path", str(tmp_path / below)]).options, ExitStack())
    assert names(tmp_path) == ["file"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_an_error(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(ValueError, match="cannot be written"):
        directory_for(parse(job, ["--storage-path", str(tmp_path)]).options, ExitStack())


def test_a_resume_has_the_flags_that_started_the_study(tmp_path):
    started = parse(job, ["--trials", "5", "--seed", "3", "--grace-period", "2"])
    write_json(tmp_path / STUDY_FILE, about(**started.stored()))
    (tmp_path / JOURNAL).touch()
    with ExitStack() as held:
        argv = ["--resume", str(tmp_path), "--trials", "6"]
        command, directory = taken_up(partial(parse, job, argv), held)
    assert directory.path == tmp_path
    assert (command.options.trials, command.options.seed) == (6, 3)
    assert command.own == {"grace_period": 2, "dataset": None}
    with ExitStack() as held, pytest.raises(ValueError, match=r"--seed 4: .* started with 3"):
        taken_up(partial(parse, job, ["--resume", str(tmp_path), "--seed", "4"]), held)
    with pytest.raises(ValueError, match="no study is there"):
        taken_up(partial(parse, job, ["--resume", str(tmp_path / "never")]), ExitStack())


def test_the_local_copy_of_a_study_in_a_bucket_is_refused_with_the_address_to_resume(
    tmp_path, monkeypatch
):
    started = parse(job, ["--storage-path", "s3://studies/results/"])
    (tmp_path / "mine").mkdir()
    write_json(tmp_path / "mine" / STUDY_FILE, about(**started.stored()))
    (tmp_path / "mine" / JOURNAL).touch()
    monkeypatch.chdir(tmp_path / "mine")
    for copy in (str(tmp_path / "mine"), "."):
        with (
            ExitStack() as held,
            pytest.raises(ValueError, match=r"--resume s3://studies/results/mine$"),
        ):
            taken_up(partial(parse, job, ["--resume", copy]), held)


# The content of study.json.


@dataclass
class Data:
    name: str = "digits"
    source: str = "scikit-learn"
    notice: str = ""
    fingerprint: str = "aaa"
    search: object = None


def train(config, data):
    """Any."""


def described(directory, argv=(), fingerprint="aaa", inputs=None, **options):
    """Do as the launcher does: build the study, then the description."""
    asha, data = ASHA(max_epochs=9), Data(fingerprint=fingerprint)
    study = study_in(directory, trainable=train, scheduler=asha, dataset=data, **options)
    study.inputs.update(inputs or {})
    return describe(study, parse(job, argv), argv)


def test_the_description_of_a_study_has_its_command_space_strategy_and_data(tmp_path):
    description = described(tmp_path, ["--grace-period", "2"])
    written = json.loads(json.dumps(description))
    assert written["options"] == {"grace_period": 2, "dataset": "digits"}, "the one that was found"
    assert written["command"][2:] == ["--grace-period", "2"]
    assert written["space"] == SPACE.describe()
    assert written["strategy"]["searcher"] == "RandomSearch"
    assert written["strategy"]["rungs"] == [1, 3]
    assert written["trainable"] == f"{__name__}.train"
    assert (written["metric"], written["mode"]) == ("score", "max")
    assert written["dataset"]["fingerprint"] == "aaa"


def test_a_resumed_study_keeps_its_description_except_the_flags_that_may_change(tmp_path):
    first = described(tmp_path, ["--trials", "4", "--name", "mine"])
    write_json(tmp_path / STUDY_FILE, {**first, "created": "long ago", "git_commit": "old"})
    again = described(tmp_path, ["--trials", "6", "--name", "mine"], trials=6)
    assert again["flags"]["trials"] == 6
    assert again["command"][2:] == ["--trials", "4", "--name", "mine"]
    assert (again["created"], again["git_commit"]) == ("long ago", "old")


def test_a_resume_with_other_data_is_refused(tmp_path):
    write_json(tmp_path / STUDY_FILE, described(tmp_path))
    with pytest.raises(
        ValueError, match=r"started on other data .fingerprint aaa; here, of digits, bbb"
    ):
        described(tmp_path, fingerprint="bbb")
    assert read_study_file(tmp_path)["dataset"]["fingerprint"] == "aaa"


def test_a_resume_from_other_weights_is_refused(tmp_path):
    first = described(tmp_path, inputs={"weights": "best/state.pt aaa"})
    write_json(tmp_path / STUDY_FILE, first)
    with pytest.raises(ValueError, match=r"weights has changed: .* aaa, here .* bbb"):
        described(tmp_path, inputs={"weights": "best/state.pt bbb"})


def test_the_next_step_is_a_command_or_for_a_population_the_reason_why_there_is_none(tmp_path):
    study = study_in(tmp_path, scheduler=ASHA(max_epochs=9))
    command = ["python", "job.py", "--trials", "8"]
    assert (
        Begun(study, None, command, None, None).next_step
        == f"resume it: python job.py --resume {tmp_path}"
    )
    trained = Space("trained", (replace(QUALITY, kind="optimization"),))
    pbt = PBT(trained, perturbed=["quality"], max_epochs=9, interval=3, seed=0)
    searcher = RandomSearch(trained, seed=0)
    study = study_in(tmp_path, trainable=Trained, searcher=searcher, scheduler=pbt)
    assert Begun(study, None, command, None, None).next_step.startswith(
        "begin a new study: a population can be neither"
    )
    for asked in ({"resume_or_start": True, "name": "x"}, {"resume": "results/x"}):
        (flag,) = ("--" + name.replace("_", "-") for name in asked if name != "name")
        with pytest.raises(ValueError, match=f"{flag}.*: a population can be neither"):
            study_in(tmp_path, trainable=Trained, searcher=searcher, scheduler=pbt, **asked)


class Trained(tune.Trainable):
    def step(self):
        return {"score": 1.0}

    def save_checkpoint(self, checkpoint_dir):
        pass


# One session after the other.
