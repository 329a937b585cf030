"""The searcher that Tune sees: numbers the trials, writes them down, takes up a study."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray.tune.search import Searcher

from search_spaces.random_search import RandomSearch
from tests.runtime.conftest import SPACE
from tune_jobs.runtime.journal import Journal, TrialRecord, read_events, trials_from
from tune_jobs.runtime.searcher import JournaledSearcher, dirname_of, trial_seed


@pytest.fixture
def journal(tmp_path):
    journal = Journal(tmp_path / "journal")
    yield journal
    journal.close()


def journaled(journal, *, trials=4, recorded=None, strategy=None):
    return JournaledSearcher(
        strategy or RandomSearch(SPACE, seed=0),
        journal=lambda: journal,
        recorded=recorded or {},
        trials=trials,
        seed=7,
    )


def ask(searcher, count, prefix="t"):
    return [searcher.suggest(f"{prefix}{number}") for number in range(count)]


def test_each_suggestion_is_in_the_journal_with_its_index_before_it_is_run(journal):
    searcher = journaled(journal)
    configs = ask(searcher, 2)
    trials = trials_from(read_events(journal.path))
    assert [trials[index].config for index in (0, 1)] == configs
    assert searcher.indices == {"t0": 0, "t1": 1}
    assert configs[0]["seed"] == trial_seed(7, 0)
    assert configs[1]["quality"] == RandomSearch(SPACE, seed=0).point(1)["quality"]


def test_after_the_studys_trials_there_is_no_other(journal):
    searcher = journaled(journal, trials=2)
    assert ask(searcher, 4)[2:] == [Searcher.FINISHED] * 2
    assert len(read_events(journal.path)) == 2


@given(ended=st.lists(st.booleans(), max_size=6), grown=st.integers(0, 3))
def test_a_resumed_study_runs_what_had_not_ended_and_then_the_same_points(
    tmp_path_factory, ended, grown
):
    total = len(ended) + grown
    folder = tmp_path_factory.mktemp("study")
    whole = Journal(folder / "whole")
    points = ask(journaled(whole, trials=total), total)
    whole.close()

    recorded = {
        index: TrialRecord(index, points[index], status="finished" if done else "running")
        for index, done in enumerate(ended)
    }
    journal = Journal(folder / "resumed")
    searcher = journaled(journal, trials=total, recorded=recorded)
    left = [index for index, done in enumerate(ended) if not done]
    expected = [*left, *range(len(ended), total)]
    assert ask(searcher, len(expected)) == [points[index] for index in expected]
    assert list(searcher.indices.values()) == expected
    assert searcher.suggest("one more") == Searcher.FINISHED
    written = [event["trial"] for event in read_events(journal.path)]
    journal.close()
    assert written == list(range(len(ended), total)), "only new ones are written down"


def test_a_trial_that_was_closed_meanwhile_is_not_run_again(journal):
    recorded = {index: TrialRecord(index, {"quality": index}) for index in (0, 1)}
    searcher = journaled(journal, trials=3, recorded=recorded)
    recorded[0].status = "stopped"
    assert searcher.suggest("a") == {"quality": 1}
    assert searcher.indices == {"a": 1}
    assert searcher.suggest("b")["seed"] == trial_seed(7, 2)


class Choosy(Searcher):
    """Has nothing to suggest at first, one point then, and no more."""

    def __init__(self):
        super().__init__()
        self.told = []
        self.answers = [None, {"quality": 0.5}, Searcher.FINISHED]

    def set_search_properties(self, metric, mode, config, **spec):
        self.told.append((metric, mode))
        return True

    def suggest(self, trial_id):
        return self.answers.pop(0)

    def on_trial_result(self, trial_id, result):
        self.told.append((trial_id, result))

    def on_trial_complete(self, trial_id, result=None, error=False):
        self.told.append((trial_id, result, error))


def test_what_the_strategy_answers_and_is_told_passes_through(journal):
    strategy = Choosy()
    searcher = journaled(journal, strategy=strategy)
    assert searcher.set_search_properties("score", "max", {})
    assert (searcher.metric, searcher.mode) == ("score", "max")
    answers = ask(searcher, 3)
    assert answers[0] is None
    assert answers[1]["quality"] == 0.5
    assert answers[2] == Searcher.FINISHED
    searcher.on_trial_result("t1", {"score": 1})
    searcher.on_trial_complete("t1", {"score": 2})
    searcher.on_trial_complete("t1", error=True)
    assert strategy.told == [
        ("score", "max"),
        ("t1", {"score": 1}),
        ("t1", {"score": 2}, False),
        ("t1", None, True),
    ]
    assert searcher.indices == {"t1": 0}, "an answer that is no point takes no index"


def test_a_strategy_is_asked_again_in_order_and_told_who_has_ended(journal):
    class Remembering(Choosy):
        def suggest(self, trial_id):
            self.told.append(trial_id)
            return {"quality": 0.5}

    strategy = Remembering()
    status = {0: "finished", 1: "running", 2: "diverged"}
    recorded = {i: TrialRecord(i, {}, status=status[i]) for i in (2, 0, 1)}
    journaled(journal, strategy=strategy, recorded=recorded)
    first, second = ("recorded-0", None, False), ("recorded-2", None, False)
    assert strategy.told == ["recorded-0", first, "recorded-1", "recorded-2", second]


def test_tunes_pickle_of_it_holds_nothing(journal, tmp_path):
    searcher = journaled(journal)
    assert searcher.__getstate__() == {}
    assert len(pickle.dumps(searcher)) < 200
    before = sorted(tmp_path.iterdir())
    searcher.save(str(tmp_path / "searcher.pkl"))
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("study_seed", [0, 1, 2])
def test_trials_have_seeds_of_their_own(study_seed):
    seeds = [trial_seed(study_seed, index) for index in range(500)]
    assert len(set(seeds)) == 500
    # With study_seed + index as the seed, the next study would be this one, shifted.
    assert not set(seeds) & {trial_seed(study_seed + 1, index) for index in range(500)}


@given(st.integers(0, 2**40), st.integers(0, 10**6))
def test_a_trials_seed_is_the_same_again_and_fits_every_generator(study_seed, index):
    seed = trial_seed(study_seed, index)
    assert 0 <= seed < 2**31
    assert seed == trial_seed(study_seed, index)


def test_directories_sort_as_the_trials_began():
    names = [dirname_of(index) for index in range(0, 10_000, 7)]
    assert names == sorted(names)
    assert [int(name) for name in names] == list(range(0, 10_000, 7))
