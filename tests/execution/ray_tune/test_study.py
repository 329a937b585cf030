"""A study: its restoration from its directory, and its refusals before it begins."""

import copy
import errno
import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from ray import cloudpickle, tune

from search_spaces.hyperparameter import Hyperparameter
from search_spaces.schedulers.asha import ASHA
from search_spaces.schedulers.pbt import PBT
from search_spaces.schedulers.rungs import Rungs
from search_spaces.searchers.grid_search import GridSearch
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.space import Space
from tests.in_process import QUALITY, SPACE, names, study_in
from tests.journals import event_of, read_events, trials_from
from tests.search_spaces.schedulers.test_rungs import promoted_by
from tests.studies import about_this
from tune_cluster.cluster.nodes import Inspection
from tune_cluster.execution.ray_tune.settings import TUNE_FOLDER
from tune_cluster.storage.retry import StorageLostError
from tune_cluster.study.journal import JOURNAL
from tune_cluster.study.study_file import STUDY_FILE
from tune_cluster.trial.messages import TrialReport

TRAINED = Space("quality", (replace(QUALITY, kind="optimization"),))
"""Hyperparameters that a population may change during training."""


def test_a_session_writes_its_beginning_and_its_end_to_the_journal(tmp_path):
    for resumed in (False, True):
        study = study_in(tmp_path / "study")
        study.open(about_this(study), ["--trials", "8"])
        study.begin()
        again = study_in(tmp_path / "study")
        with pytest.raises(ValueError, match="another process is running the study"):
            again.open(about_this(again), [])
        (study.directory / ".tune").mkdir()
        (study.directory / ".tune" / "state.pkl").touch()
        study.close("finished")
        begin, end = read_events(tmp_path / "study" / JOURNAL)[-2:]
        assert (begin["event"], begin["command"]) == ("session", ["--trials", "8"])
        assert begin["resumed"] is resumed
        assert (end["event"], end["why"]) == ("closed", "finished")
        assert names(tmp_path / "study") == [JOURNAL, STUDY_FILE, "trials"]


def test_a_listener_that_has_lost_its_storage_leaves_no_other_listener_open(tmp_path):
    class Listener:
        def __init__(self, error=None):
            self.closed, self.error = False, error

        def on_event(self, event, state, replay):
            self.closed = event.name == "closed"
            if self.closed and self.error is not None:
                raise self.error

    study = study_in(tmp_path)
    lost = StorageLostError(errno.EIO, "input/output error", "disk")
    listeners = [Listener(), Listener(lost), Listener()]
    study.open(about_this(study), [])
    study.begin(listeners)
    (tmp_path / TUNE_FOLDER).mkdir()
    with pytest.raises(StorageLostError, match="input/output error"):
        study.close("finished")
    assert [listener.closed for listener in listeners] == [True] * 3
    assert names(tmp_path) == [JOURNAL, STUDY_FILE, "trials"]
    assert read_events(tmp_path / JOURNAL)[-1]["event"] == "closed"
    again = study_in(tmp_path)
    again.open(about_this(again), [])


def test_lost_storage_is_not_waited_for_a_second_time(tmp_path, capsys):
    study = study_in(tmp_path)
    study.stopper.storage_lost(StorageLostError(errno.EIO, "input/output error", "disk"))
    tried = []

    def fail():
        tried.append(1)
        raise OSError(errno.EIO, "input/output error")

    with pytest.raises(StorageLostError):
        study.retry(fail)
    assert len(tried) == 1


@pytest.mark.parametrize(
    ("scheduler", "last"),
    [
        (None, 9),
        (ASHA(max_epochs=5), 5),
        (PBT(TRAINED, perturbed=["quality"], max_epochs=18, interval=2, seed=0), 18),
    ],
)
def test_the_epochs_of_a_trial_come_from_the_scheduler_or_else_from_the_flag(
    tmp_path, scheduler, last
):
    searcher = RandomSearch(TRAINED, seed=0)
    study = study_in(tmp_path, trainable=toy(), searcher=searcher, scheduler=scheduler)
    study.state.apply(event_of("suggested", config={}))
    study.tune_config.search_alg.indices["t"] = 0
    reports = [TrialReport(epoch=epoch, metrics={"score": 0.5}) for epoch in (last - 1, last)]
    results = [report.to_result(study.objective) for report in reports]
    assert [study.run_config.stop("t", result) for result in results] == [False, True]


def test_a_study_that_is_not_open_writes_nothing(tmp_path):
    study = study_in(tmp_path)
    with pytest.raises(AssertionError, match="not open"):
        study.begin()
    assert names(tmp_path) == []


def test_a_space_that_the_trainable_refuses_is_an_error(tmp_path):
    class Picky(tune.Trainable):
        def step(self):
            return {"score": 1.0}

        @staticmethod
        def check_config(config):
            if config["quality"] > 0.9:
                raise ValueError("quality must be at most 0.9")

    with pytest.raises(ValueError, match=r"at most 0\.9"):
        study_in(tmp_path, trainable=Picky)
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
    searcher = RandomSearch(space, seed=0)
    study_in(tmp_path, searcher=searcher, scheduler=ASHA(max_epochs=9, grace_period=3))
    short = ASHA(max_epochs=9, grace_period=1)
    if settling <= 1:
        study_in(tmp_path, searcher=searcher, scheduler=short)
        return
    with pytest.raises(ValueError, match=rf"--grace-period 1: .* give at least {needed}"):
        study_in(tmp_path, searcher=searcher, scheduler=short)


def test_a_copy_of_the_directory_creator_names_a_trial_by_its_index(tmp_path):
    config = study_in(tmp_path).tune_config
    dirname = copy.deepcopy(config.trial_dirname_creator)
    config.search_alg.indices["abc"] = 12
    assert dirname(SimpleNamespace(trial_id="abc")) == "0012"


# The rungs that earlier sessions left.


def suggested(trial):
    return {"event": "suggested", "trial": trial, "config": {"quality": 0.5, "seed": trial}}


def result(trial, epoch, score):
    metrics = {"score": score, "epoch": epoch}
    return {"event": "result", "trial": trial, "epoch": epoch, "node": "n", "metrics": metrics}


def lived(turns, rule):
    """The events of a study of 8 trials, in which each turn gives one of them an epoch, or two at
    once, or lets it begin again, or promotes another one if it has ended; and after each of them
    the rungs that it had."""
    rungs, events, epochs, over = Rungs(9, rule=rule), [], {}, set()
    memory = [copy.deepcopy(rungs)]

    def write(event):
        events.append(event)
        memory.append(copy.deepcopy(rungs))

    for trial, score, turn in turns:
        if trial in over:
            promotion = rungs.next_promotion()
            if promotion is not None:
                rungs.promote(promotion.trial, promotion.rung)
                over.remove(promotion.trial)
                write(promotion.to_json())
            continue
        if trial not in epochs:
            epochs[trial] = 0
            write(suggested(trial))
            write({"event": "started", "trial": trial})
        if turn == "again" and epochs[trial]:
            lost = {"event": "epochs_lost", "trial": trial, "first": 1, "last": epochs[trial]}
            epochs[trial] = 0
            write(lost)
        epochs[trial] = min(epochs[trial] + (2 if turn == "two" else 1), 9)
        epoch = epochs[trial]
        end = {"event": "ended", "trial": trial, "epoch": epoch}
        if turn == "fails":
            over.add(trial)
            rungs.report_end(trial, None)
            rungs.report_failure(trial, epoch)
            write({**end, "status": "diverged", "reason": "nan"})
            continue
        decision = None if epoch == 9 else rungs.report(trial, epoch, score)
        write(result(trial, epoch, score))
        if decision is not None and decision.stop:
            over.add(trial)
            write({**end, "status": "stopped", "rung": decision.rung})
        elif epoch == 9:
            over.add(trial)
            rungs.report_end(trial, score)
            write({**end, "status": "finished"})
    return events, memory


def in_order(turns):
    """Return the turns with trials numbered in order of arrival, as a study numbers them."""
    numbers = {}
    return [(numbers.setdefault(trial, len(numbers)), *rest) for trial, *rest in turns]


scores = st.floats(0, 1, allow_nan=False)
turns = st.lists(
    st.tuples(st.integers(0, 7), scores, st.sampled_from([*["one"] * 8, "two", "again", "fails"])),
    max_size=60,
).map(in_order)


@given(turns, st.sampled_from(["promotion", "top"]), st.floats(0, 1))
# A rung's decision is kept even if the epoch that it compared was lost since.
@example(
    turns=[(0, 0.0, "one"), (1, 0.0, "one"), (2, 0.5, "one"), (2, 0.0, "again")],
    rule="promotion",
    share=0.7,
)
def test_a_study_cut_at_any_line_has_its_rungs_again_and_ends_the_trials_already_decided(
    tmp_path_factory, turns, rule, share
):
    events, memory = lived(turns, rule)
    cut = round(share * len(events))
    asha = ASHA(max_epochs=9, grace_period=1, rung_rule=rule)
    study = study_in(
        tmp_path_factory.mktemp("study"),
        events[:cut],
        at_once=16,
        trainable=toy(),
        scheduler=asha,
    )
    searcher = study.tune_config.search_alg
    assert asha.memory == memory[cut]

    study.open(about_this(study), [])
    study.begin()
    written = read_events(study.directory / JOURNAL)
    handed = []
    for number in range(16):
        searcher.suggest(f"t{number}")
        handed = list(searcher.indices.values())
    study.close("finished")
    told = trials_from(written)
    stopped = {
        trial
        for rung, reached in memory[cut].values.items()
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
    # Every trial that has not ended is returned, with promotions, and no ended one.
    left = [index for index in told if not told[index].ended]
    new = [index for index in range(8) if index not in told]
    assert handed == left + [to.trial for to in promoted_by(memory[cut])] + new


def test_the_rungs_of_two_sessions_equal_those_of_one(tmp_path):
    events = [suggested(0), suggested(1), result(0, 1, 0.5), result(1, 1, 0.4)]
    events.append({"event": "ended", "trial": 1, "status": "stopped", "rung": 1, "epoch": 1})
    events += [{"event": "closed", "why": "interrupted"}, {"event": "session"}]
    events += [suggested(2), {"event": "ended", "trial": 2, "status": "failed", "epoch": 1}]
    study = study_in(tmp_path, events, scheduler=ASHA(max_epochs=9, grace_period=1))
    assert study.scheduler.memory.values == {1: {0: 0.5, 1: 0.4, 2: float("-inf")}, 3: {}}


def test_the_rungs_of_a_minimized_study_stop_the_larger_value(tmp_path):
    events = [suggested(0), suggested(1), result(0, 1, 0.5), result(1, 1, 0.6)]
    asha = ASHA(max_epochs=9, grace_period=1, rung_rule="top")
    study = study_in(tmp_path, events, mode="min", scheduler=asha)
    assert [study.trials[trial].status for trial in (0, 1)] == ["pending", "stopped"]


def toy():
    """Made in a function, so that it travels to the workers by value."""

    class Toy(tune.Trainable):
        reuse_actors = True

        def save_checkpoint(self, checkpoint_dir):
            pass

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
def test_a_resume_restores_the_rungs_where_trials_end_early_and_report_nan(run_study):
    code, trials, study = run_study(toy(), trials=8, max_epochs=9)
    assert code == 0
    assert {(t.status, t.epochs) for t in trials.values()} == {("finished", 3), ("stopped", 1)}
    # JSON has no NaN: it is a metric without a value, and no reason to end anything.
    for trial in trials.values():
        assert all(metrics["gradient_norm"] is None for metrics in trial.results.values())
    again = study_in(study.directory, trainable=toy(), scheduler=ASHA(max_epochs=9, grace_period=1))
    assert again.scheduler.memory.values == study.scheduler.memory.values


def test_a_stop_missing_from_the_journal_is_written_by_the_next_session(tmp_path):
    events = [suggested(0), suggested(1), result(0, 1, 0.5), result(1, 1, 0.4)]
    asha = ASHA(max_epochs=9, grace_period=1)
    study = study_in(tmp_path, events, trainable=toy(), scheduler=asha)
    study.open(about_this(study), [])
    last = read_events(tmp_path / JOURNAL)[-1]
    assert (last["event"], last["trial"], last["status"]) == ("ended", 1, "stopped")
    assert study.tune_config.num_samples == -1
    study.begin()
    study.close("finished")


def test_the_strategies_of_a_grid_can_be_pickled_where_nodes_may_join(tmp_path):
    config = study_in(
        tmp_path,
        searcher=GridSearch(SPACE, grid_points=4),
        inspection=Inspection((), None, str(tmp_path)),
    ).tune_config
    assert cloudpickle.dumps(config.scheduler)
    assert cloudpickle.dumps(config.search_alg)
