"""The searcher that Tune sees: numbers the trials, writes them down, takes up a study."""

import json
import pickle
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray.tune.search import Searcher

from search_spaces.objective import Origin
from search_spaces.schedulers.base import StudyScheduler
from search_spaces.searchers.base import StudySearcher
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.space import Space
from search_spaces.trial_events import Promoted
from tests.in_process import QUALITY, SPACE
from tests.journals import read_events, state_of, trials_in, typed
from tune_cluster.execution.ray_tune.searcher import Strategies, TrialSource
from tune_cluster.storage.checkpoints import dirname_of
from tune_cluster.study.journal import EventStream, Journal
from tune_cluster.trial.messages import TRIAL_SEED


@pytest.fixture
def journal(tmp_path):
    journal = Journal(tmp_path / "journal")
    yield journal
    journal.close()


def seed_of(index):
    return 70 + index


class Promoting(StudyScheduler):
    """Promotes the trials that a test names."""

    promotes = True

    def __init__(self, *promoted):
        super().__init__()
        self.promoted = list(promoted)

    def promotable(self):
        return [Promoted(trial=index, rung=1, value=0.5, rank=1, of=3) for index in self.promoted]

    def on_event(self, event, replay):
        if isinstance(event, Promoted):
            self.promoted.remove(event.trial)


class Side(StudyScheduler):
    """Its trials wait for each other."""

    synchronous = True


def source(journal, *, trials=4, events=(), searcher=None, scheduler=None, study=None, later=None):
    state = study or state_of(events)
    searcher, scheduler = searcher or RandomSearch(SPACE, seed=0), scheduler or StudyScheduler()
    stream = EventStream(journal, state, [Strategies(searcher, scheduler, state, [])])
    return TrialSource(
        searcher,
        scheduler,
        state,
        trials=trials,
        emit=stream.emit,
        promote=stream.emit,
        seed=seed_of,
        later=later or (lambda: False),
    )


def test_a_trial_above_the_concurrency_limit_gets_no_suggestion_and_writes_no_event(journal):
    waits = iter([True, False, True, False])
    searcher = source(journal, trials=2, later=lambda: next(waits))
    suggested = ask(searcher, 4)
    assert [config is None for config in suggested] == [True, False, True, False]
    assert len(read_events(journal.path)) == 2


def ask(searcher, count, prefix="t"):
    return [searcher.suggest(f"{prefix}{number}") for number in range(count)]


def test_each_suggestion_is_in_the_journal_with_its_index_before_it_is_run(journal):
    searcher = source(journal)
    configs = ask(searcher, 2)
    trials = trials_in(journal.path)
    assert [trials[index].config for index in (0, 1)] == configs
    assert searcher.indices == {"t0": 0, "t1": 1}
    assert [config["seed"] for config in configs] == [70, 71]
    assert configs[1]["quality"] == RandomSearch(SPACE, seed=0).point(1)["quality"]


class Seeded(RandomSearch):
    """Gives its trials seeds, and ends after two of them."""

    def seed_of(self, index):
        return 500 + index // 2

    def point(self, index):
        self.ended = "enough" if index == 1 else ""
        return super().point(index)


def test_the_seed_of_a_trial_is_in_its_process_and_the_journal_but_not_in_its_configuration(
    journal,
):
    searcher = source(journal, searcher=Seeded(SPACE, seed=0))
    configs = ask(searcher, 3)
    assert [config.pop(TRIAL_SEED) for config in configs[:2]] == [500, 500]
    assert [event.get("seed") for event in read_events(journal.path)] == [500, 500]
    assert [trial.config for trial in trials_in(journal.path).values()] == configs[:2]
    assert configs[2] == Searcher.FINISHED, "though the study asked for four"
    resumed = source(
        journal, searcher=Seeded(SPACE, seed=0), events=[suggested(0, {"quality": 0.5, "seed": 1})]
    )
    assert ask(resumed, 1) == [{"quality": 0.5, "seed": 1, TRIAL_SEED: 500}]


def test_after_the_last_trial_of_the_study_no_other_is_suggested(journal):
    searcher = source(journal, trials=2)
    assert ask(searcher, 4)[2:] == [Searcher.FINISHED] * 2
    assert len(read_events(journal.path)) == 2


def suggested(index, config):
    return {"event": "suggested", "trial": index, "config": config}


def result(index, epoch, score):
    return {"event": "result", "trial": index, "epoch": epoch, "metrics": {"score": score}}


def ended(index, status, epoch, **rest):
    return {"event": "ended", "trial": index, "status": status, "epoch": epoch, **rest}


@given(ended_before=st.lists(st.booleans(), max_size=6), grown=st.integers(0, 3))
def test_a_resumed_study_runs_the_unfinished_trials_first_and_then_the_same_points(
    tmp_path_factory, ended_before, grown
):
    total = len(ended_before) + grown
    folder = tmp_path_factory.mktemp("study")
    whole = Journal(folder / "whole")
    points = ask(source(whole, trials=total), total)
    whole.close()

    events = [suggested(index, points[index]) for index in range(len(ended_before))]
    for index, done in enumerate(ended_before):
        events += [result(index, 1, 0.5), ended(index, "finished", 1)] if done else []
    journal = Journal(folder / "resumed")
    journal.append(*map(typed, events))
    searcher = source(journal, trials=total, events=events)
    left = [index for index, done in enumerate(ended_before) if not done]
    expected = [*left, *range(len(ended_before), total)]
    assert ask(searcher, len(expected)) == [points[index] for index in expected]
    assert list(searcher.indices.values()) == expected
    assert searcher.suggest("one more") == Searcher.FINISHED
    written = [event["trial"] for event in read_events(journal.path)[len(events) :]]
    journal.close()
    assert written == list(range(len(ended_before), total)), "only new ones are written down"


class Remembering(StudySearcher):
    """Suggests one point repeatedly, and stores the events that it gets."""

    def __init__(self):
        super().__init__(SPACE)
        self.told = []

    def suggest(self, index):
        return {"quality": 0.5}

    def on_event(self, event, replay):
        self.told.append((event.name, getattr(event, "trial", None)))


class Two(Remembering):
    """Has two points, the second of which takes its time."""

    def __init__(self):
        super().__init__()
        self.asked = 0

    @property
    def size(self):
        return 2 if self.asked > 3 else None

    def suggest(self, index):
        self.asked += 1
        return {"quality": 0.5} if self.asked in (1, 3) else None


def test_a_searcher_without_a_point_yet_is_asked_again_and_an_exhausted_one_is_not(journal):
    suggestions = ask(source(journal, trials=9, searcher=Two()), 5)
    assert [config if isinstance(config, str) else config is None for config in suggestions] == [
        False,
        True,
        False,
        Searcher.FINISHED,
        Searcher.FINISHED,
    ]


def test_nested_hyperparameters_reach_the_trial_in_a_nested_dictionary(journal):
    space = Space("s", (replace(QUALITY, name="net/quality"),), fixed=(("net/depth", 3),))
    searcher = source(journal, searcher=RandomSearch(space, seed=0))
    config = searcher.suggest("t0")
    assert set(config) == {"net", "seed"}
    assert set(config["net"]) == {"quality", "depth"}
    assert trials_in(journal.path)[0].config.keys() == {"net/quality", "net/depth", "seed"}


def test_where_trials_wait_for_each_other_the_end_is_reported_only_when_all_have_ended(journal):
    searcher = source(journal, trials=2, scheduler=Side())
    assert None not in ask(searcher, 2)
    assert searcher.suggest("later") is None
    searcher.on_trial_complete("t0")
    assert searcher.suggest("later") is None
    searcher.on_trial_complete("t1", error=True)
    assert searcher.suggest("later") == Searcher.FINISHED


def stop(searcher, study, trial_id, index):
    """Do what Tune and the recorder do when a rung stops a trial."""
    searcher.on_trial_complete(trial_id, {})
    if not study.trials[index].results:
        study.apply(typed(result(index, 1, 0.5)))
    study.apply(typed(ended(index, "stopped", 1, rung=1)))


def test_the_origin_of_a_continued_trial_is_written_with_its_configuration(journal):
    study, searcher = state_of(), RandomSearch(SPACE, seed=0)
    searcher.origins = {1: Origin(trial=7, checkpoints="s3://b/first/trials/0007", epoch=3)}
    ask(source(journal, trials=2, study=study, searcher=searcher), 2)
    first, second = read_events(journal.path)
    assert "origin" not in first
    assert (second["origin"], second["start_epoch"]) == (7, 3)
    assert [trial.epochs for trial in study.trials.values()] == [0, 3]


def test_a_promotion_precedes_a_new_trial_and_the_end_comes_when_none_is_left(journal):
    study, scheduler, searcher = state_of(), Promoting(), Remembering()
    trials = source(journal, trials=2, study=study, scheduler=scheduler, searcher=searcher)
    trials.suggest("t0")
    stop(trials, study, "t0", 0)
    scheduler.promoted.append(0)
    assert trials.suggest("t1") == study.trials[0].config
    assert trials.dirname("t1") == "0000"
    assert searcher.told[-1] == ("promoted", 0)
    assert trials.suggest("t2")["seed"] == 71
    assert trials.suggest("t3") is None, "trial 0 or 1 may yet bring another one among the best"
    stop(trials, study, "t1", 0)
    assert trials.suggest("t3") is None
    stop(trials, study, "t2", 1)
    assert trials.suggest("t3") == Searcher.FINISHED
    written = [(event["event"], event["trial"]) for event in journal_of(journal)]
    assert written == [("suggested", 0), ("promoted", 0), ("suggested", 1)]


def journal_of(journal):
    """Its lines, which no state is made of: the results are in none."""
    return [json.loads(line) for line in journal.path.read_text().splitlines()]


def test_the_pickle_that_tune_makes_of_the_searcher_is_empty(journal, tmp_path):
    searcher = source(journal)
    assert searcher.__getstate__() == {}
    assert len(pickle.dumps(searcher)) < 200
    before = sorted(tmp_path.iterdir())
    searcher.save(str(tmp_path / "searcher.pkl"))
    assert sorted(tmp_path.iterdir()) == before


def test_trial_directories_sort_in_the_order_of_their_trials():
    names = [dirname_of(index) for index in range(0, 10_000, 7)]
    assert names == sorted(names)
    assert [int(name) for name in names] == list(range(0, 10_000, 7))
