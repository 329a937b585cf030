"""The searcher that Tune sees: numbers the trials, writes them down, takes up a study."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray.tune.search import ConcurrencyLimiter, Searcher
from ray.tune.utils import flatten_dict

from search_spaces.objective import Objective
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.searchers.strategy import Strategy
from search_spaces.searchers.tpe_search import TPESearch
from tests.in_process import SPACE
from tests.journals import event_of, read_events, state_of, trials_in, typed
from tune_cluster.execution.ray_tune.searcher import JournaledSearcher, dirname_of
from tune_cluster.study.journal import Journal
from tune_cluster.study.stream import EventStream
from tune_cluster.trial.metrics import BAD_VALUE
from tune_cluster.trial.report import TrialReport


@pytest.fixture
def journal(tmp_path):
    journal = Journal(tmp_path / "journal")
    yield journal
    journal.close()


def seed_of(index):
    return 70 + index


def journaled(
    journal, *, trials=4, events=(), strategy=None, mode="max", alone=False, study=None, **rest
):
    state = study or state_of(events, Objective("score", mode))
    stream = EventStream(lambda: journal, state)
    return JournaledSearcher(
        strategy or RandomSearch(SPACE, seed=0),
        emit=stream.emit,
        events=[*map(typed, events)],
        recorded=state.trials,
        trials=trials,
        seed=seed_of,
        metric="score",
        mode=mode,
        alone=alone,
        **rest,
    )


def test_who_has_to_wait_is_suggested_nothing_and_nothing_is_written(journal):
    waits = iter([True, False, True, False])
    searcher = journaled(journal, trials=2, alone=True, later=lambda: next(waits))
    suggested = ask(searcher, 4)
    assert [config is None for config in suggested] == [True, False, True, False]
    assert len(read_events(journal.path)) == 2


def test_as_many_live_at_once_as_the_width_says_at_that_moment(journal):
    width = 1
    searcher = journaled(journal, trials=9, alone=True, width=lambda: width)
    # Tune's own limiter, which would keep the number that a study begins with, stands aside.
    limited = ConcurrencyLimiter(searcher, max_concurrent=1)
    assert [config is None for config in ask(limited, 2, "a")] == [False, True]
    width = 3
    assert [config is None for config in ask(limited, 3, "b")] == [False, False, True]
    width = 2
    limited.on_trial_complete("a0")
    assert ask(limited, 1, "c") == [None]
    limited.on_trial_complete("b0")
    assert [config is None for config in ask(limited, 2, "d")] == [False, True]
    assert len(trials_in(journal.path)) == 4


def ask(searcher, count, prefix="t"):
    return [searcher.suggest(f"{prefix}{number}") for number in range(count)]


def test_each_suggestion_is_in_the_journal_with_its_index_before_it_is_run(journal):
    searcher = journaled(journal)
    configs = ask(searcher, 2)
    trials = trials_in(journal.path)
    assert [trials[index].config for index in (0, 1)] == configs
    assert searcher.indices == {"t0": 0, "t1": 1}
    assert [config["seed"] for config in configs] == [70, 71]
    assert configs[1]["quality"] == RandomSearch(SPACE, seed=0).point(1)["quality"]


def test_after_the_studys_trials_there_is_no_other(journal):
    searcher = journaled(journal, trials=2)
    assert ask(searcher, 4)[2:] == [Searcher.FINISHED] * 2
    assert len(read_events(journal.path)) == 2


def suggested(index, config):
    return {"event": "suggested", "trial": index, "config": config}


def result(index, epoch, score):
    return {"event": "result", "trial": index, "epoch": epoch, "metrics": {"score": score}}


def ended(index, status, epoch, **rest):
    return {"event": "ended", "trial": index, "status": status, "epoch": epoch, **rest}


@given(ended_before=st.lists(st.booleans(), max_size=6), grown=st.integers(0, 3))
def test_a_resumed_study_runs_what_had_not_ended_and_then_the_same_points(
    tmp_path_factory, ended_before, grown
):
    total = len(ended_before) + grown
    folder = tmp_path_factory.mktemp("study")
    whole = Journal(folder / "whole")
    points = ask(journaled(whole, trials=total), total)
    whole.close()

    events = [suggested(index, points[index]) for index in range(len(ended_before))]
    for index, done in enumerate(ended_before):
        events += [result(index, 1, 0.5), ended(index, "finished", 1)] if done else []
    journal = Journal(folder / "resumed")
    journal.append(*map(typed, events))
    searcher = journaled(journal, trials=total, events=events)
    left = [index for index, done in enumerate(ended_before) if not done]
    expected = [*left, *range(len(ended_before), total)]
    assert ask(searcher, len(expected)) == [points[index] for index in expected]
    assert list(searcher.indices.values()) == expected
    assert searcher.suggest("one more") == Searcher.FINISHED
    written = [event["trial"] for event in read_events(journal.path)[len(events) :]]
    journal.close()
    assert written == list(range(len(ended_before), total)), "only new ones are written down"


class Remembering(Strategy):
    """Suggests one point again and again, and remembers what it was told."""

    def __init__(self):
        super().__init__(SPACE)
        self.told = []

    def point(self, index):
        return {"quality": 0.5}

    def recorded(self, trial_id, config):
        super().recorded(trial_id, config)
        self.told.append(("recorded", trial_id))

    def promoted(self, trial_id):
        self.told.append(("promoted", trial_id))

    def on_trial_result(self, trial_id, result):
        self.told.append(("result", trial_id, result["epoch"], result["score"]))

    def on_trial_complete(self, trial_id, result=None, error=False):
        value = None if result is None else result["score"]
        self.told.append(("error" if error else "complete", trial_id, value))


def live(index, epoch, score, **report):
    """As Tune hands a result on: flat."""
    told = TrialReport(epoch=epoch, metrics={"score": score}, **report)
    return flatten_dict(told.to_result(Objective("score", "max")))


def test_a_strategy_is_told_by_index_what_happens(journal):
    strategy = Remembering()
    searcher = journaled(journal, strategy=strategy)
    ask(searcher, 2)
    searcher.on_trial_result("t1", live(1, 1, 0.3))
    searcher.on_trial_complete("t1", live(1, 2, 0.4, status="finished"))
    assert strategy.told == [
        ("recorded", "0"),
        ("recorded", "1"),
        ("result", "1", 1, 0.3),
        ("complete", "1", 0.4),
    ]


@pytest.mark.parametrize(("mode", "worst", "stand_in"), [("max", 0.2, -1), ("min", 0.9, 1)])
def test_a_failure_is_told_with_the_worst_value_seen_or_a_stand_in(journal, mode, worst, stand_in):
    strategy = Remembering()
    searcher = journaled(journal, strategy=strategy, mode=mode, alone=True)
    ask(searcher, 4)
    searcher.on_trial_complete("t0", live(0, 1, stand_in * BAD_VALUE, status="diverged"))
    for score in (0.2, 0.9, 0.5):
        searcher.on_trial_result("t1", live(1, 1, score))
    searcher.on_trial_complete("t1", live(1, 2, stand_in * BAD_VALUE, status="failed"))
    searcher.on_trial_complete("t2", error=True)
    failures = [told for told in strategy.told if told[0] == "error"]
    assert failures == [
        ("error", "0", stand_in * BAD_VALUE),
        ("error", "1", worst),
        ("error", "2", worst),
    ]


def test_a_trial_that_is_not_to_blame_is_forgotten(journal):
    strategy = Remembering()
    searcher = journaled(journal, strategy=strategy)
    ask(searcher, 2)
    searcher.on_trial_complete(
        "t0", live(0, 1, -BAD_VALUE, status="failed", infrastructure_failure=True)
    )
    searcher.on_trial_complete("t1", error=True)
    assert strategy.told[-2:] == [("complete", "0", None), ("complete", "1", None)]


moves = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from(["go", "stop", "fail", "oom", "promote", "again"]))
)


@given(moves, st.floats(0, 1))
def test_a_strategy_is_told_the_same_by_the_journal_as_it_was_live(tmp_path_factory, moves, share):
    """Cut anywhere, the events and what comes after them tell what one session would have told."""
    journal = Journal(tmp_path_factory.mktemp("study") / "journal")
    strategy, promoted = Remembering(), []
    searcher = journaled(journal, strategy=strategy, promote=lambda: next(iter(promoted), None))
    ask(searcher, 4)
    config = {"quality": 0.5}
    events = [suggested(index, config) for index in range(4)]
    epochs, over, stopped = [0] * 4, set(), set()
    for index, move in moves:
        if move == "promote" and index in stopped:
            promoted[:] = [index]
            assert searcher.suggest(f"t{index}")["quality"] == config["quality"]
            events.append(event_of("promoted", index, rung=epochs[index]))
            over.remove(index)
            stopped.remove(index)
            continue
        if index in over or move == "promote":
            continue
        if move == "again":
            # It has begun again, and comes to its first epoch once more.
            if epochs[index]:
                lost = {"trial": index, "first": 1, "last": epochs[index]}
                events.append({"event": "epochs_lost", **lost})
            epochs[index] = 0
            continue
        score = 0.1 * (len(events) % 7)
        if move in ("fail", "oom"):
            how = {"blameless": True} if move == "oom" else {}
            failed = live(index, 1, -1e9, status="failed", infrastructure_failure=move == "oom")
            searcher.on_trial_complete(f"t{index}", failed)
            events.append(ended(index, "failed", epochs[index] + 1, **how))
            over.add(index)
            continue
        epochs[index] += 1
        events.append(result(index, epochs[index], score))
        if move == "stop":
            searcher.on_trial_complete(f"t{index}", live(index, epochs[index], score))
            events.append(ended(index, "stopped", epochs[index], rung=epochs[index]))
            over.add(index)
            stopped.add(index)
        else:
            searcher.on_trial_result(f"t{index}", live(index, epochs[index], score))
    journal.close()
    again = Remembering()
    journaled(journal, strategy=again, events=events)
    assert again.told == strategy.told


def test_a_model_that_was_told_by_a_journal_goes_on_as_if_it_had_never_stopped(journal):
    def lived(count, events):
        searcher = journaled(journal, trials=60, events=events, strategy=TPESearch(SPACE, seed=3))
        for _ in range(count):
            config = searcher.suggest("t")
            index = searcher.indices["t"]
            score = config["quality"] * (1 - config["quality"])
            searcher.on_trial_complete("t", live(index, 1, score, status="finished"))
            events += [suggested(index, config), result(index, 1, score)]
            events.append(ended(index, "finished", 1))
        return [event["config"] for event in events if event["event"] == "suggested"]

    interrupted = []
    for count in (10, 1, 25, 4):
        lived(count, interrupted)
    assert lived(0, interrupted) == lived(40, [])


def stop(searcher, study, trial_id, index, control):
    """As Tune and the recorder do it when a rung stops a trial."""
    searcher.on_trial_complete(trial_id, live(index, 1, 0.5))
    if study.trials[index].status == "stopped":
        study.apply(event_of("promoted", index))
    else:
        study.apply(typed(result(index, 1, 0.5)))
    study.apply(typed(ended(index, "stopped", 1, rung=1, control=control)))


def test_controls_come_after_all_trials_and_nothing_while_one_of_them_may_be_stopped(journal):
    strategy, study = Remembering(), state_of()
    searcher = journaled(
        journal, trials=3, strategy=strategy, study=study, audited=True, alone=True
    )
    ask(searcher, 3)
    stop(searcher, study, "t0", 0, control=True)
    assert searcher.suggest("c0") == study.trials[0].config
    assert (searcher.dirname("t0"), searcher.dirname("c0")) == ("0000", "0000-control")
    told = list(strategy.told)
    searcher.on_trial_result("c0", live(0, 2, 0.9))
    assert searcher.suggest("c1") is None
    stop(searcher, study, "t1", 1, control=False)
    assert searcher.suggest("c1") is None, "trial 2 still runs"
    stop(searcher, study, "t2", 2, control=True)
    assert searcher.suggest("c1") == study.trials[2].config
    assert searcher.indices["c1"] == 2
    searcher.on_trial_complete("c0", live(0, 9, -BAD_VALUE, status="diverged"))
    searcher.on_trial_complete("c1", error=True)
    assert searcher.suggest("c2") == Searcher.FINISHED
    assert strategy.told == [*told, ("complete", "1", 0.5), ("complete", "2", 0.5)]
    assert [event["trial"] for event in read_events(journal.path)] == [0, 1, 2]


def test_a_promoted_trial_comes_before_a_new_one_and_the_end_only_when_none_can_be(journal):
    strategy, study, promoted = Remembering(), state_of(), []
    searcher = journaled(
        journal,
        trials=2,
        strategy=strategy,
        study=study,
        promote=lambda: promoted.pop() if promoted else None,
    )
    searcher.suggest("t0")
    stop(searcher, study, "t0", 0, control=False)
    promoted.append(0)
    assert searcher.suggest("t1") == study.trials[0].config
    assert searcher.dirname("t1") == "0000"
    assert strategy.told[-1] == ("promoted", "0")
    assert searcher.suggest("t2")["seed"] == 71
    assert searcher.suggest("t3") is None, "trial 0 or 1 may yet bring another one among the best"
    stop(searcher, study, "t1", 0, control=False)
    assert searcher.suggest("t3") is None
    stop(searcher, study, "t2", 1, control=False)
    assert searcher.suggest("t3") == Searcher.FINISHED
    assert [event["trial"] for event in read_events(journal.path)] == [0, 1]


def test_a_resumed_study_runs_its_own_trials_first_and_then_the_controls_that_have_not_ended(
    journal,
):
    events = [suggested(index, {"quality": 0.5}) for index in range(4)]
    for index in range(3):
        events += [result(index, 1, 0.5), ended(index, "stopped", 1, rung=1, control=True)]
    events += [{"event": "control_started", "trial": index} for index in (0, 1)]
    events.append({**ended(0, "finished", 9), "event": "control_ended"})
    searcher = journaled(journal, trials=5, events=events, audited=True)
    ask(searcher, 4)
    assert [searcher.dirname(f"t{number}") for number in range(4)] == [
        "0003",
        "0004",
        "0001-control",
        "0002-control",
    ]


def test_what_was_told_of_a_control_is_not_told_again_on_resume(journal):
    events = [suggested(0, {"quality": 0.5}), result(0, 1, 0.5)]
    events.append(ended(0, "stopped", 1, rung=1, control=True))
    strategy = Remembering()
    journaled(journal, events=events, strategy=strategy)
    told = list(strategy.told)
    events += [{"event": "control_started", "trial": 0}, {**result(0, 2, 0.6), "event": "control"}]
    events.append({**ended(0, "diverged", 3, reason="nan"), "event": "control_ended"})
    strategy = Remembering()
    journaled(journal, events=events, strategy=strategy)
    assert strategy.told == told


def test_tunes_pickle_of_it_holds_nothing(journal, tmp_path):
    searcher = journaled(journal)
    assert searcher.__getstate__() == {}
    assert len(pickle.dumps(searcher)) < 200
    before = sorted(tmp_path.iterdir())
    searcher.save(str(tmp_path / "searcher.pkl"))
    assert sorted(tmp_path.iterdir()) == before


def test_directories_sort_as_the_trials_began():
    names = [dirname_of(index) for index in range(0, 10_000, 7)]
    assert names == sorted(names)
    assert [int(name) for name in names] == list(range(0, 10_000, 7))
