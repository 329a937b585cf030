"""A study: what it takes up from its directory, and what it refuses before it begins."""

import copy
import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ray import tune

from search_spaces.asha import ASHA
from search_spaces.hyperparameter import Hyperparameter
from search_spaces.random_search import RandomSearch
from search_spaces.rungs import Rungs
from search_spaces.space import Space
from tests.runtime.conftest import QUALITY, SPACE
from tune_jobs.runtime.flags import Flags, parse
from tune_jobs.runtime.journal import JOURNAL, read_events, trials_from
from tune_jobs.runtime.launch import describe, parse_and_check
from tune_jobs.runtime.study import Study
from tune_jobs.runtime.study_file import STUDY_FILE, read_study_file, write_json


def job(study, *, grace_period: int = 1):
    """Which quality?"""


def study_in(directory, events=None, **flags):
    directory.mkdir(parents=True, exist_ok=True)
    if events is not None:
        (directory / JOURNAL).write_text("".join(json.dumps(event) + "\n" for event in events))
    flags = Flags(**{"trials": 8, "max_epochs": 9, **flags})
    return Study(directory, flags, max_concurrent=2, metric="score", mode="max")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# What lies in the directory.


def test_a_study_file_comes_back(tmp_path):
    write_json(tmp_path / STUDY_FILE, {"schema_version": 1, "path": Path("a/b")})
    assert read_study_file(tmp_path) == {"schema_version": 1, "path": "a/b"}
    assert names(tmp_path) == [STUDY_FILE]


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path):
    write_json(tmp_path / STUDY_FILE, {"schema_version": 1})
    circular = {}
    circular["itself"] = circular
    with pytest.raises(ValueError, match="Circular"):
        write_json(tmp_path / STUDY_FILE, circular)
    assert read_study_file(tmp_path) == {"schema_version": 1}
    assert names(tmp_path) == [STUDY_FILE]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no study is there .it has no study.json"),
        ('{"schema_version": 1', "study.json is not JSON"),
        ("", "study.json is not JSON"),
        ('{"schema_version": 2}', "written in schema 2, this version reads 1"),
        ("{}", "written in schema None, this version reads 1"),
    ],
)
def test_what_is_no_study_is_an_error_that_names_it(tmp_path, content, said):
    if content is not None:
        (tmp_path / STUDY_FILE).write_text(content)
    with pytest.raises(ValueError, match=said) as refused:
        read_study_file(tmp_path)
    assert str(refused.value).startswith(f"--resume {tmp_path}: ")


# The command line against the disk.


def test_a_new_study_has_a_directory_that_can_be_written(tmp_path):
    argv = ["--storage-path", str(tmp_path / "a" / "results"), "--name", "mine"]
    command, directory = parse_and_check(job, argv)
    assert command.flags.name == "mine"
    assert directory == tmp_path / "a" / "results" / "mine"
    assert names(tmp_path / "a" / "results") == [], "nothing is made before the study begins"


def test_without_a_name_it_has_the_jobs_and_the_time(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["tune_jobs/my_job.py"])
    _, directory = parse_and_check(job, ["--storage-path", str(tmp_path)])
    name, day, clock = directory.name.split("-")
    assert (name, len(day), len(clock)) == ("my_job", 8, 6)


def test_a_study_that_exists_is_not_written_over(tmp_path):
    (tmp_path / "mine").mkdir()
    with pytest.raises(ValueError, match=f"mine exists; give another name, or --resume {tmp_path}"):
        parse_and_check(job, ["--storage-path", str(tmp_path), "--name", "mine"])
    assert names(tmp_path / "mine") == []


@pytest.mark.parametrize("below", ["file", "file/deeper"])
def test_a_place_that_cannot_be_written_is_an_error(tmp_path, below):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ValueError, match=f"--storage-path {tmp_path / below}: cannot be written"):
        parse_and_check(job, ["--storage-path", str(tmp_path / below)])
    assert names(tmp_path) == ["file"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_an_error(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(ValueError, match="cannot be written"):
        parse_and_check(job, ["--storage-path", str(tmp_path)])


def test_a_resume_has_the_flags_that_the_study_was_started_with(tmp_path):
    started = parse(job, ["--trials", "5", "--seed", "3", "--grace-period", "2"])
    write_json(tmp_path / STUDY_FILE, {"schema_version": 1, **started.stored()})
    command, directory = parse_and_check(job, ["--resume", str(tmp_path), "--trials", "6"])
    assert directory == tmp_path
    assert (command.flags.trials, command.flags.seed) == (6, 3)
    assert command.options == {"grace_period": 2}
    with pytest.raises(ValueError, match="--seed 4: the study was started with 3"):
        parse_and_check(job, ["--resume", str(tmp_path), "--seed", "4"])
    with pytest.raises(ValueError, match="no study is there"):
        parse_and_check(job, ["--resume", str(tmp_path / "never")])


# What study.json says.


@dataclass
class Data:
    name: str = "digits"
    source: str = "scikit-learn"
    notice: str = ""
    fingerprint: str = "aaa"
    search: object = None


def described(study, argv=(), fingerprint="aaa"):
    """As the launcher does it: the parts are known, then the description is made."""
    study.parts.dataset = Data(fingerprint=fingerprint)
    study.tune_config(RandomSearch(SPACE, seed=0), ASHA(max_epochs=9))
    return describe(study, parse(job, argv), argv)


def test_a_study_can_be_told_from_its_description(tmp_path):
    description = described(study_in(tmp_path), ["--grace-period", "2"])
    written = json.loads(json.dumps(description))
    assert written["options"] == {"grace_period": 2}
    assert written["flags"]["dataset"] == "digits", "the one that was found"
    assert written["command"][2:] == ["--grace-period", "2"]
    assert written["space"] == SPACE.describe()
    assert written["strategy"]["searcher"] == "RandomSearch"
    assert written["strategy"]["rungs"] == [1, 3]
    assert (written["metric"], written["mode"]) == ("score", "max")
    assert written["dataset"]["fingerprint"] == "aaa"


def test_a_resumed_study_is_described_as_it_was_with_what_may_change(tmp_path):
    first = described(study_in(tmp_path), ["--trials", "4", "--name", "mine"])
    write_json(tmp_path / STUDY_FILE, {**first, "created": "long ago", "git_commit": "old"})
    again = described(study_in(tmp_path, trials=6), ["--trials", "6", "--name", "mine"])
    assert again["flags"]["trials"] == 6
    assert again["command"][2:] == ["--trials", "4", "--name", "mine"]
    assert (again["created"], again["git_commit"]) == ("long ago", "old")


def test_a_study_never_goes_on_with_other_data(tmp_path):
    write_json(tmp_path / STUDY_FILE, described(study_in(tmp_path)))
    with pytest.raises(ValueError, match=r"started on other data .fingerprint aaa, here bbb"):
        described(study_in(tmp_path), fingerprint="bbb")
    assert read_study_file(tmp_path)["dataset"]["fingerprint"] == "aaa"


# One session after the other.


def test_a_session_is_in_the_journal_from_its_beginning_to_its_end(tmp_path):
    for resumed in (False, True):
        study = study_in(tmp_path / "study")
        study.open({"schema_version": 1}, ["--trials", "8"])
        with pytest.raises(ValueError, match="another process is running the study"):
            study_in(tmp_path / "study").open({"schema_version": 1}, [])
        (study.directory / ".tune").mkdir()
        (study.directory / ".tune" / "state.pkl").touch()
        study.close("finished")
        begin, end = read_events(tmp_path / "study" / JOURNAL)[-2:]
        assert (begin["event"], begin["command"]) == ("session", ["--trials", "8"])
        assert begin["resumed"] is resumed
        assert (end["event"], end["why"]) == ("closed", "finished")
        assert names(tmp_path / "study") == [JOURNAL, STUDY_FILE, "trials"]


def test_before_a_study_is_open_nothing_can_be_written(tmp_path):
    study = study_in(tmp_path)
    with pytest.raises(AssertionError, match="not open"):
        _ = study.journal
    assert names(tmp_path) == []


def test_a_space_that_the_trainable_does_not_take_is_an_error_in_either_order(tmp_path):
    class Picky(tune.Trainable):
        @staticmethod
        def check_config(config):
            if config["quality"] > 0.9:
                raise ValueError("quality must be at most 0.9")

    study = study_in(tmp_path)
    study.tune_config(RandomSearch(SPACE, seed=0))
    with pytest.raises(ValueError, match=r"at most 0\.9"):
        study.trainable(Picky)
    study = study_in(tmp_path)
    study.trainable(Picky)
    with pytest.raises(ValueError, match=r"at most 0\.9"):
        study.tune_config(RandomSearch(SPACE, seed=0))
    assert names(tmp_path) == []


def warming_up(**range_or_values):
    return Hyperparameter(
        name="epochs_warmup",
        meaning="epochs of a rising learning rate",
        default=1,
        kind="optimization",
        role="nuisance",
        advice="for tests",
        **range_or_values,
    )


@pytest.mark.parametrize(
    ("space", "settling"),
    [
        (Space("range", (QUALITY, warming_up(low=0.0, high=2.5))), 2.5),
        (Space("list", (QUALITY, warming_up(values=(0, 3, 1)))), 3),
        (Space("fixed", (QUALITY,), fixed=(("freeze_epochs", 2),)), 2),
        (Space("fixed later", (warming_up(values=(0, 3)),)).fix(epochs_warmup=1), 1),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_the_grace_period_must_cover_warm_up_and_freezing(tmp_path, space, settling):
    assert space.settling_epochs() == settling
    needed = math.ceil(settling)
    study_in(tmp_path).tune_config(RandomSearch(space, seed=0), ASHA(max_epochs=9, grace_period=3))
    short = ASHA(max_epochs=9, grace_period=1)
    if settling <= 1:
        study_in(tmp_path).tune_config(RandomSearch(space, seed=0), short)
        return
    with pytest.raises(ValueError, match=rf"--grace-period 1: .* give at least {needed}"):
        study_in(tmp_path).tune_config(RandomSearch(space, seed=0), short)


def test_a_trials_directory_is_its_index_in_a_copy_too(tmp_path):
    study = study_in(tmp_path)
    config = study.tune_config(RandomSearch(SPACE, seed=0))
    dirname = copy.deepcopy(config.trial_dirname_creator)
    config.search_alg.indices["abc"] = 12
    assert dirname(SimpleNamespace(trial_id="abc")) == "0012"


# The rungs that earlier sessions left.


def suggested(trial):
    return {"event": "suggested", "trial": trial, "config": {"quality": 0.5, "seed": trial}}


def result(trial, epoch, score):
    metrics = {"score": score, "epoch": epoch}
    return {"event": "result", "trial": trial, "epoch": epoch, "node": "n", "metrics": metrics}


def lived(turns):
    """The events of a study of 8 trials, in which each turn gives one of them an epoch; and after
    each of them the rungs that it had."""
    rungs, events, epochs, over = Rungs(9), [], {}, set()
    memory = [copy.deepcopy(rungs.values)]

    def write(event):
        events.append(event)
        memory.append(copy.deepcopy(rungs.values))

    for trial, score, fails in turns:
        if trial in over:
            continue
        if trial not in epochs:
            epochs[trial] = 0
            write(suggested(trial))
            write({"event": "started", "trial": trial})
        epochs[trial] += 1
        epoch = epochs[trial]
        end = {"event": "ended", "trial": trial, "epoch": epoch}
        if fails:
            over.add(trial)
            rungs.report_failure(trial, epoch)
            write({**end, "status": "diverged", "reason": "nan"})
            continue
        decision = None if epoch == 9 else rungs.report(trial, epoch, score)
        write(result(trial, epoch, score))
        if decision is not None and decision.stop:
            over.add(trial)
            write({**end, "status": "stopped", "rung": epoch})
        elif epoch == 9:
            over.add(trial)
            write({**end, "status": "finished"})
    return events, memory


def in_order(turns):
    """The same turns, the trials numbered as they come, as a study numbers them."""
    numbers = {}
    return [(numbers.setdefault(trial, len(numbers)), *rest) for trial, *rest in turns]


scores = st.floats(0, 1, allow_nan=False)
turns = st.lists(
    st.tuples(st.integers(0, 7), scores, st.integers(0, 11).map(lambda n: n == 0)), max_size=60
).map(in_order)


@given(turns, st.floats(0, 1))
@settings(deadline=None)
def test_a_study_that_was_cut_at_any_line_has_its_rungs_and_ends_what_was_decided(
    tmp_path_factory, turns, share
):
    events, memory = lived(turns)
    cut = round(share * len(events))
    study = study_in(tmp_path_factory.mktemp("study"), events[:cut])
    config = study.tune_config(RandomSearch(SPACE, seed=0), ASHA(max_epochs=9))
    searcher = config.search_alg
    assert config.scheduler.rungs.values == memory[cut]

    study.open({"schema_version": 1}, [])
    written = read_events(study.directory / JOURNAL)
    handed = []
    for number in range(8):
        searcher.suggest(f"t{number}")
        handed = list(searcher.indices.values())
    study.close("finished")
    told = trials_from(written)
    stopped = {
        trial
        for rung, reached in memory[cut].items()
        for trial in reached
        if told[trial].status == "stopped" and told[trial].rung == rung
    }
    assert stopped == {t.index for t in told.values() if t.status == "stopped"}
    # A stop whose line was lost is in the journal now, as it would have been, and once.
    lost = [
        event for event in events[cut : cut + 1] if event["event"] == "ended" and "rung" in event
    ]
    made_up = [event for event in written[cut:] if event["event"] == "ended"]
    assert [{k: v for k, v in event.items() if k != "time"} for event in made_up] == lost
    # Every trial is handed out that has not ended, and none that has.
    assert handed == [i for i in range(8) if i not in told or not told[i].ended]


def test_rungs_of_two_sessions_are_those_of_one(tmp_path):
    events = [suggested(0), suggested(1), result(0, 1, 0.5), result(1, 1, 0.4)]
    events.append({"event": "ended", "trial": 1, "status": "stopped", "rung": 1, "epoch": 1})
    events += [{"event": "closed", "why": "interrupted"}, {"event": "session"}]
    events += [suggested(2), {"event": "ended", "trial": 2, "status": "failed", "epoch": 1}]
    study = study_in(tmp_path, events)
    scheduler = study.tune_config(RandomSearch(SPACE, seed=0), ASHA(max_epochs=9)).scheduler
    assert scheduler.rungs.values == {1: {0: 0.5, 1: 0.4, 2: float("-inf")}, 3: {}}


def test_the_rungs_of_a_study_that_is_minimized_are_kept_as_such(tmp_path):
    study_in(tmp_path, [suggested(0), suggested(1), result(0, 1, 0.5), result(1, 1, 0.6)])
    flags = Flags(trials=8, max_epochs=9)
    study = Study(tmp_path, flags, max_concurrent=2, metric="score", mode="min")
    study.tune_config(RandomSearch(SPACE, seed=0), ASHA(max_epochs=9))
    assert [study.trials[trial].status for trial in (0, 1)] == ["pending", "stopped"]


def toy():
    """Made in a function, so that it travels to the workers by value."""

    class Toy(tune.Trainable):
        def setup(self, config):
            self.config, self.epoch = config, 0

        def reset_config(self, new_config):
            self.setup(new_config)
            return True

        def step(self):
            self.epoch += 1
            return {
                "score": self.config["quality"],
                "epoch": self.epoch,
                "gradient_norm": float("nan"),
                "done": self.epoch == 3,
            }

    return Toy


@pytest.mark.slow
def test_a_resume_has_the_live_rungs_where_trials_end_by_themselves_and_report_nans(run_study):
    code, trials, study = run_study(toy(), trials=8, max_epochs=9)
    assert code == 0
    assert {(t.status, t.epochs) for t in trials.values()} == {("finished", 3), ("stopped", 1)}
    # JSON has no NaN: it is a metric without a value, and no reason to end anything.
    for trial in trials.values():
        assert all(metrics["gradient_norm"] is None for metrics in trial.results.values())
    again = Study(study.directory, study.flags, max_concurrent=2, metric="score", mode="max")
    resumed = again.tune_config(RandomSearch(SPACE, seed=0), ASHA(max_epochs=9)).scheduler
    assert resumed.rungs.values == study.parts.scheduler.rungs.values
