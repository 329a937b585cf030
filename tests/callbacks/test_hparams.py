"""HPARAMS of a real TensorBoard server, cell by cell, compared with the study's journal."""

import math
import threading
import time
from dataclasses import replace

import pytest

from search_spaces.schedulers.asha import ASHA
from search_spaces.searchers.base import StudySearcher
from search_spaces.space import Space
from tests.conftest import PATIENCE
from tests.execution.test_audit import toy
from tests.in_process import QUALITY
from tests.journals import trial_of
from tests.tensorboard_server import hparams_of, metrics_of, served
from tune_cluster.callbacks.hparams import STATUS_NUMBERS, Columns, typed
from tune_cluster.callbacks.tensorboard import tag_of


def one_of(name, *values, condition=None):
    more = {"low": None, "high": None, "default": values[0], "values": values}
    return replace(QUALITY, name=name, condition=condition, **more)


def between(name, low, high, condition=None):
    return replace(QUALITY, name=name, low=low, high=high, default=low, condition=condition)


SGD, ADAM = ("optimizer", ("sgd",)), ("optimizer", ("adam",))
MIXED = Space(
    "mixed",
    (
        QUALITY,
        one_of("fate", "trains", "diverges", "fails"),
        one_of("optimizer", "sgd", "adam", "lion"),
        between("momentum", 0.1, 0.9, SGD),
        between("eps", 1e-8, 1e-4, SGD),
        between("eps", 1e-9, 1e-2, ADAM),
        one_of("batch_size", 32, 64, 128),
        one_of("layers", (64,), (128, (64, 8))),
        one_of("nesterov", True, False),
        one_of("decay", None, 0.1, 0.2),
    ),
    fixed=(("model", "mlp"), ("patience", 0)),
)


class Listed(StudySearcher):
    """The points of a list."""

    def __init__(self, space, *points):
        super().__init__(space)
        self.points = points

    @property
    def size(self):
        return len(self.points)

    def suggest(self, index):
        return self.space.complete(self.points[index])


POINTS = (
    {"quality": 0.9, "layers": (128, (64, 8)), "momentum": 0.5},
    {"quality": 0.8, "fate": "diverges", "optimizer": "adam", "eps": 1e-3, "batch_size": 128},
    {"quality": 0.7, "fate": "fails", "optimizer": "lion", "nesterov": False},
    {"quality": 0.6, "decay": 0.1},
    {"quality": 0.3},
    {"quality": 0.4, "optimizer": "adam"},
)


def shown_values(config, types):
    """A configuration as its line has it; a value that is not there, or None, is no cell."""
    return {
        name: typed(value, types[name])
        for name, value in config.items()
        if name in types and value is not None
    }


def expected_metrics(trial, metric):
    best = trial.best
    last = max(trial.results, default=None)
    cells = {
        f"best/{metric}": best and best[1],
        "best_epoch": best and best[0],
        "epochs": trial.epochs,
        "status": STATUS_NUMBERS[trial.status],
        "stopped_rung": trial.rung,
        "seconds": trial.seconds,
        f"last/{metric}": last and trial.results[last][metric],
    }
    return {tag: pytest.approx(v, rel=1e-6) for tag, v in cells.items() if v is not None}


def check_cells(address, trials, metric="score", within=""):
    """Compares every cell of every line."""
    experiment, lines = hparams_of(address)
    names = {"DATA_TYPE_STRING": 1, "DATA_TYPE_BOOL": 2, "DATA_TYPE_FLOAT64": 3}
    types = {info["name"]: names[info["type"]] for info in experiment["hparamInfos"]}
    assert set(lines) == {f"{within}trials/{index:04d}" for index in trials}
    for index, trial in trials.items():
        line = lines[f"{within}trials/{index:04d}"]
        assert line["hparams"] == shown_values(trial.config, types), index
        assert metrics_of(line) == expected_metrics(trial, metric), index
    return experiment, lines


def soon(check):
    """Return the result of `check` once it does not fail: the server reads every second."""
    deadline = time.monotonic() + PATIENCE / 5
    while True:
        try:
            return check()
        except AssertionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


@pytest.mark.slow
def test_every_cell_of_a_server_that_runs_all_the_while_is_what_the_journal_says(
    run_study, tmp_path
):
    gate = tmp_path / "gate"

    def act(config, epoch, result, restored):
        if config["fate"] == "fails":
            raise RuntimeError("no such optimizer")
        diverges = config["fate"] == "diverges" and epoch == 3
        result["score"] = math.nan if diverges else config["quality"] - (epoch - 2) ** 2 / 100
        while config["quality"] == 0.9 and epoch == 4 and not gate.exists():
            time.sleep(0.05)

    def watch():
        def running():
            line = hparams_of(address)[1].get("study/trials/0000")
            assert line is not None
            assert metrics_of(line)["status"] == STATUS_NUMBERS["running"]
            assert metrics_of(line)["best_epoch"] == 2
            return line

        try:
            seen.append(soon(running))
        finally:
            gate.touch()

    def ended():
        # A trial's end is written behind its cells, and may be read a second later.
        _, lines = check_cells(address, trials, within="study/")
        sessions = {name[-4:]: line["sessions"][0]["status"] for name, line in lines.items()}
        assert sessions["0000"] == "STATUS_SUCCESS"
        assert sessions["0001"] == sessions["0002"] == "STATUS_FAILURE"
        # It may be promoted when the study is extended.
        assert sessions["0004"] == "STATUS_UNKNOWN"

    seen = []
    with served(tmp_path) as address:
        watcher = threading.Thread(target=watch)
        watcher.start()
        asha = ASHA(max_epochs=9, grace_period=3)
        code, trials, study = run_study(toy(act), searcher=Listed(MIXED, *POINTS), scheduler=asha)
        watcher.join()
        assert code == 0
        soon(ended)
    # While it ran: at its best epoch so far.
    (running,) = seen
    assert metrics_of(running)["best/score"] == pytest.approx(trials[0].results[2]["score"])
    assert running["sessions"][0]["status"] == "STATUS_UNKNOWN"

    statuses = {index: trial.status for index, trial in trials.items()}
    assert [statuses[index] for index in (0, 1, 2)] == ["finished", "diverged", "failed"]
    # The lowest.
    assert statuses[4] == "stopped"
    assert (trials[1].epochs, trials[2].epochs) == (2, 0)

    # The other of TensorBoard's two readers, and a server that was started later.
    with served(study.directory, "--load_fast", "false") as address:
        experiment, _ = soon(lambda: check_cells(address, trials))
    infos = {info["name"]: info for info in experiment["hparamInfos"]}
    assert set(infos) == {p.name for p in MIXED.parameters} | {"model", "patience"}
    assert infos["quality"]["domainInterval"] == {"minValue": 0, "maxValue": 1}
    # The branches of one name have a range together.
    assert infos["eps"]["domainInterval"] == {"minValue": 1e-9, "maxValue": 1e-2}
    domains = {name: info.get("domainDiscrete") for name, info in infos.items()}
    assert domains["batch_size"] == [32, 64, 128]
    assert domains["nesterov"] == [True, False]
    assert domains["layers"] == ["[64]", "[128, [64, 8]]"]
    assert domains["decay"] == [0.1, 0.2]
    assert domains["model"] == ["mlp"]
    assert infos["batch_size"]["differs"]
    assert not infos["model"]["differs"]


@pytest.mark.long
def test_a_study_that_is_resumed_and_grown_has_the_cells_of_its_journal(run_study, tmp_path):
    with served(tmp_path / "study") as address:
        for trials in (3, 9):
            code, records, _ = run_study(toy(), trials=trials)
            assert code == 0
            soon(lambda records=records: check_cells(address, records))
    assert any(trial.status == "finished" for trial in records.values())


def test_a_value_that_no_cell_can_hold_is_left_out_without_an_error():
    columns = Columns(Space("odd", (one_of("x", 1, True, "a"), one_of("y", None, 2))), "score")
    config = {"x": True, "y": "not a number", "z": {"a": 1}, "none": None}
    trial = trial_of(0, config, status="pending")
    assert columns.experiment().metadata.plugin_data.content
    assert columns.start(trial).metadata.plugin_data.content
    assert {tag for tag, (_, value) in columns.cells(trial).items() if value is not None} == {
        *("epochs", "status", "seconds"),
    }


def test_a_metric_that_has_the_name_of_a_column_is_a_curve_of_its_own():
    assert tag_of("seconds") == "reported/seconds"
    assert tag_of("val_loss") == "loss/validation"
