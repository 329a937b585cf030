"""A study that is run from Python: it returns or raises, and never ends the process."""

import inspect
import threading
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import pytest
from ray import tune

from search_spaces.searchers.random_search import RandomSearch
from tests.in_process import SPACE
from tests.journals import read_events
from tune_cluster import Callback, Options, RunConfig, TuneConfig, Tuner, run
from tune_cluster.execution.result import SCOPES, TrialResult
from tune_cluster.study.journal import JOURNAL


class Witness(Callback):
    """Stores what it gets: name, trial, replay; and the results."""

    def __init__(self):
        self.told, self.ended = [], []

    def on_event(self, event, state, replay):
        trial = getattr(event, "trial", None)
        assert trial is None or trial in state.trials
        self.told.append((event.name, trial, replay))

    def on_end(self, result):
        self.ended.append(result)


def peaking():
    """Its second epoch of three is its best. Made in a function, so that it travels by value."""

    class Peaking(tune.Trainable):
        reuse_actors = True

        def setup(self, config):
            self.quality = config["quality"]

        def reset_config(self, new_config):
            self.setup(new_config)
            return True

        def step(self):
            if self.quality < 0.2:
                raise RuntimeError("too low")
            epoch = self.iteration + 1
            return {"score": self.quality - abs(epoch - 2), "cost": 9 - epoch, "done": epoch == 3}

        def save_checkpoint(self, checkpoint_dir):
            Path(checkpoint_dir, "epoch").write_text(str(self.iteration + 1))

        def load_checkpoint(self, checkpoint_dir):
            pass

    return Peaking


def job_with(witness, trainable=None):
    def job(options: Options, *, low: float = 0.0) -> Tuner:
        """Which quality is best?"""
        assert low == 0.0
        return Tuner(
            trainable or peaking(),
            tune_config=TuneConfig(
                metric="score", mode="max", search_alg=RandomSearch(SPACE, seed=options.seed)
            ),
            run_config=RunConfig(callbacks=[witness]),
        )

    return job


class Ran:
    """A study of four trials, run in a thread, and its resume with two more."""

    def __init__(self, folder):
        self.witnesses = [Witness(), Witness()]
        options = {"trials": 4, "max_epochs": 5, "max_concurrent": 1, "name": "study"}
        self.first = self.in_thread(
            job_with(self.witnesses[0]), storage_path=str(folder), low=0.0, **options
        )
        self.directory = folder / "study"
        self.events = read_events(self.directory / JOURNAL)
        self.second = self.in_thread(
            job_with(self.witnesses[1]), resume=str(self.directory), trials=6
        )

    def in_thread(self, job, **options):
        results = []
        thread = threading.Thread(target=lambda: results.append(run(job, **options)))
        thread.start()
        thread.join()
        return results[0]


@pytest.fixture(scope="module")
def ran(cluster_address, tmp_path_factory):
    return Ran(tmp_path_factory.mktemp("ran"))


@pytest.mark.slow
def test_run_returns_the_result_in_a_thread(ran):
    result = ran.first
    assert (len(result), result.complete, result.ended_by) == (4, True, "")
    assert Path(result.experiment_path) == ran.directory
    assert (ran.directory / "trials.csv").exists()


@pytest.mark.slow
def test_results_are_those_of_the_best_epoch_and_not_of_the_last(ran):
    result = ran.second
    points = [RandomSearch(SPACE, seed=0).point(index)["quality"] for index in range(6)]
    failed = [quality < 0.2 for quality in points]
    assert result.num_errors == sum(failed) == len(result.errors)
    assert result.num_terminated == 6 - sum(failed)
    for one, quality, fails in zip(result, points, failed, strict=True):
        assert one.config["quality"] == quality
        if fails:
            assert one.metrics is None
            assert "too low" in str(one.error)
            continue
        assert (one.metrics["score"], one.metrics["epoch"]) == (quality, 2)
        assert list(one.metrics_dataframe["cost"]) == [8, 7, 6]
    best = result.get_best_result()
    assert best.metrics["score"] == max(map(float, points)) == result.best["score"]
    with best.checkpoint.as_directory() as folder:
        assert Path(folder, "epoch").read_text() == "2"
    assert result.get_best_result("cost", "min").metrics["epoch"] == 3
    assert result.get_best_result(scope="last").metrics["epoch"] == 3
    with pytest.raises(RuntimeError, match="no trial has reported loss"):
        result.get_best_result("loss", "min")
    with pytest.raises(ValueError, match="scope='middle'"):
        result.get_best_result(scope="middle")
    with pytest.raises(ValueError, match="filter_nan_and_inf"):
        result.get_best_result(filter_nan_and_inf=False)


@pytest.mark.slow
def test_results_have_all_public_names_of_the_results_of_ray(ran):
    for ours, rays in ((ran.second, tune.ResultGrid), (ran.second[0], tune.Result)):
        names = {name for name in dir(rays) if not name.startswith("_")}
        names |= {field.name for field in fields(rays)} if is_dataclass(rays) else set()
        missing = {name for name in names if not name.startswith("_") and not hasattr(ours, name)}
        assert not missing
        for name, method in inspect.getmembers(rays, inspect.isfunction):
            if not name.startswith("_"):
                taken = inspect.signature(getattr(type(ours), name)).parameters
                assert inspect.signature(method).parameters.keys() <= taken.keys(), name


@pytest.mark.slow
def test_a_mean_over_epochs_may_choose_the_best_trial(ran):
    result = ran.second
    costs = {scope: result.get_best_result("cost", "min", scope) for scope in SCOPES}
    assert {scope: one.metrics["epoch"] for scope, one in costs.items()} == dict.fromkeys(SCOPES, 3)
    means = [one.metrics_dataframe["score"].mean() for one in result if one.metrics]
    best = result.get_best_result(scope="avg")
    assert best.metrics_dataframe["score"].mean() == max(means)


@pytest.mark.slow
def test_a_trial_result_has_its_kept_checkpoints_and_can_be_read_from_its_folder(ran):
    best = ran.second.get_best_result()
    assert best.metrics["training_iteration"] == 2
    epochs = [metrics["epoch"] for _, metrics in best.best_checkpoints]
    assert epochs == sorted(epochs)
    assert 2 in epochs
    assert best.get_best_checkpoint("score", "max").path == best.checkpoint.path
    assert best.filesystem.get_file_info(best.path).is_file is False
    again = TrialResult.from_path(best.path)
    assert (again.config, again.metrics) == (best.config, best.metrics)
    with pytest.raises(RuntimeError, match="loss"):
        best.get_best_checkpoint("loss", "min")
    with pytest.raises(ValueError, match="no trial 0099"):
        TrialResult.from_path(Path(best.path).with_name("0099"))


@pytest.mark.slow
def test_the_table_has_a_line_for_each_trial_and_its_configuration(ran):
    table = ran.second.get_dataframe()
    assert list(table["trial"]) == list(range(6))
    assert {"status", "score", "epoch", "config/quality"} <= set(table.columns)
    assert set(table["epoch"].dropna()) == {2}
    assert set(ran.second.get_dataframe("cost", "min")["epoch"].dropna()) == {3}


@pytest.mark.slow
def test_a_resume_from_python_continues_the_study(ran):
    assert len(ran.second) == 6
    assert [one.config for one in ran.second][:4] == [one.config for one in ran.first]
    again = read_events(ran.directory / JOURNAL)
    assert again[: len(ran.events)] == ran.events


@pytest.mark.slow
def test_callbacks_receive_the_events_of_earlier_sessions_first_and_the_result_last(ran):
    first, second = ran.witnesses
    assert first.told[0][0] == "session"
    assert first.told[-1] == ("closed", None, False)
    assert not any(replay for *_, replay in first.told)
    names = [event["event"] for event in ran.events]
    assert [name for name, *_ in first.told] == names
    assert [name for name, _, replay in second.told if replay] == names
    live = [name for name, _, replay in second.told if not replay]
    assert (live[0], live[-1]) == ("session", "closed")
    assert live.count("suggested") == 2
    assert (first.ended, second.ended) == ([ran.first], [ran.second])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"trials": 0}, "--trials 0: it should be greater than or equal to 1"),
        ({"nonsense": 1}, "nonsense: unknown option; the options are .*trials"),
        ({"resume": "nowhere"}, "--resume nowhere"),
        ({"storage_path": "ftp://host/studies"}, "--storage-path"),
        ({"name": "a/b"}, "--name"),
    ],
)
def test_bad_input_is_an_error_of_one_line_and_writes_no_file(tmp_path, monkeypatch, options, said):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=said) as refused:
        run(job_with(Witness()), **options)
    assert "\n" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_second_study_in_the_process_is_refused_while_one_runs(cluster_address, tmp_path):
    refused = []

    class Starts(Callback):
        def on_event(self, event, state, replay):
            if event.name == "suggested":
                with pytest.raises(ValueError, match="another study runs in this process") as error:
                    run(job_with(Witness()), storage_path=str(tmp_path), name="second")
                refused.append(error)

    for name in ("first", "third"):
        run(job_with(Starts()), trials=1, max_epochs=1, storage_path=str(tmp_path), name=name)
    assert len(refused) == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "third"]


def test_a_tilde_in_a_path_is_the_home_directory_in_python_too(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    options = Options(storage_path="~/studies", resume="~/studies/mine")
    assert (options.storage_path, options.resume) == (
        str(tmp_path / "studies"),
        str(tmp_path / "studies" / "mine"),
    )
    tuner = replace(job_with(Witness())(Options()), run_config=RunConfig(storage_path="~/mine"))
    assert tuner.settled(Options()).storage_path == str(tmp_path / "mine")


def test_a_job_that_builds_no_tuner_is_an_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=r"must return a tune_cluster\.Tuner, got None"):
        run(lambda options: None)  # type: ignore[return-value]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_session_that_ends_by_an_error_is_closed_for_every_callback(cluster_address, tmp_path):
    class Raises(Witness):
        def on_event(self, event, state, replay):
            super().on_event(event, state, replay)
            if event.name == "result":
                raise RuntimeError("a callback's own")

    raises, job = Raises(), job_with(Raises())
    witnesses = [Witness(), raises, Witness()]

    def with_all(options: Options) -> Tuner:
        tuner: Tuner = job(options)
        return replace(tuner, run_config=RunConfig(callbacks=witnesses))

    with pytest.raises(tune.TuneError, match="a callback's own"):
        run(with_all, trials=2, max_epochs=2, storage_path=str(tmp_path), name="study")
    assert [witness.told[-1][0] for witness in witnesses] == 3 * ["closed"]
    assert [witness.ended for witness in witnesses] == [[], [], []]
    assert read_events(tmp_path / "study" / JOURNAL)[-1]["why"] == "error"


@pytest.mark.slow
def test_a_study_whose_trials_all_fail_returns_what_it_has(cluster_address, tmp_path):
    def fails(config):
        raise RuntimeError("always")

    job = job_with(Witness(), fails)
    result = run(job, trials=2, max_epochs=2, storage_path=str(tmp_path), name="study")
    assert result.best is None
    assert (result.num_errors, result.num_terminated) == (2, 0)
    with pytest.raises(RuntimeError, match="no trial has reported score"):
        result.get_best_result()
