import math
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st
from replay import Curve, OurStudy, Work, replay

from search_spaces.catalogue import LEARNING_RATE
from search_spaces.schedulers.asha import ASHA
from search_spaces.schedulers.base import StudyScheduler
from search_spaces.searchers.grid_search import GridSearch
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.space import Space
from search_spaces.trial_events import Decision, Ended, Promoted, Result, Suggested

SPACE = Space("one", (LEARNING_RATE,))


def curve(*values, seconds=1.0):
    return Curve(values, [seconds] * len(values))


@dataclass
class Scripted:
    """Begins trials in order; stops some of them after a given epoch, and continues those that are
    due at the next request."""

    stops: dict[int, int] = field(default_factory=dict)
    resumes: bool = False
    told: list[tuple[int, int, float]] = field(default_factory=list)
    begun: int = 0
    waiting: list[Work] = field(default_factory=list)

    def next_work(self):
        if self.waiting:
            return self.waiting.pop(0)
        self.begun += 1
        return Work(self.begun - 1, {"trial": self.begun - 1})

    def tell(self, trial, epoch, value):
        self.told.append((trial, epoch, value))
        if self.stops.get(trial) == epoch:
            if self.resumes:
                self.waiting.append(Work(trial, {"trial": trial}, epoch))
            return False
        return True


def trained(curves):
    return lambda config: curves[config["trial"]]


def test_the_epochs_of_all_trials_are_counted_and_each_is_reported_to_the_strategy():
    strategy = Scripted()
    found = replay(trained([curve(1, 2), curve(3, 4)]), strategy, workers=1, epochs=4)
    assert strategy.told == [(0, 1, 1), (0, 2, 2), (1, 1, 3), (1, 2, 4)]
    assert (found.epochs, found.trials, found.seconds) == (4, 2, 4.0)


def test_workers_train_at_once_and_the_shorter_epoch_ends_first():
    strategy = Scripted()
    curves = [curve(1, 1, seconds=3.0), curve(2, 2, 2)]
    found = replay(trained(curves), strategy, workers=2, epochs=4)
    assert [(trial, epoch) for trial, epoch, _ in strategy.told] == [(1, 1), (1, 2), (0, 1), (1, 3)]
    assert found.seconds == 3.0


def test_a_stopped_trial_resumes_from_its_epoch():
    strategy = Scripted(stops={0: 1}, resumes=True)
    replay(trained([curve(1, 2, 3)] * 2), strategy, workers=1, epochs=3)
    assert strategy.told == [(0, 1, 1), (0, 2, 2), (0, 3, 3)]


def test_a_stopped_trial_frees_its_worker_for_the_next():
    strategy = Scripted(stops={0: 1})
    found = replay(trained([curve(1, 9), curve(2, 3)]), strategy, workers=1, epochs=3)
    assert strategy.told == [(0, 1, 1), (1, 1, 2), (1, 2, 3)]
    assert found.best_after(3) == 3


def test_no_trial_starts_beyond_the_trials_of_the_study():
    found = replay(trained([curve(1, 2)] * 3), Scripted(), workers=2, epochs=100, trials=3)
    assert (found.trials, found.epochs) == (3, 6)


def test_an_idle_worker_asks_for_work_again_after_each_result():
    class Waits(Scripted):
        def next_work(self):
            has_to_wait = self.begun == 2 or (self.begun and len(self.told) < 2)
            return None if has_to_wait else super().next_work()

    strategy = Waits()
    found = replay(trained([curve(1, 2, 3), curve(5, 6)]), strategy, workers=2, epochs=9)
    assert [(t, e) for t, e, _ in strategy.told] == [(0, 1), (0, 2), (0, 3), (1, 1), (1, 2)]
    assert (found.epochs, found.seconds) == (5, 4.0)


def test_a_study_with_nothing_left_to_do_ends():
    class Over(Scripted):
        def next_work(self):
            return super().next_work() if self.begun < 1 else None

    assert replay(trained([curve(1, 2)]), Over(), workers=3, epochs=50).epochs == 2


def test_the_target_ends_the_study():
    found = replay(trained([curve(1, 5, 9)]), Scripted(), workers=1, epochs=9, target=5)
    assert found.cost(5) == (2, 2.0)
    assert found.cost(6) is None
    assert found.epochs == 2


def test_the_best_noisy_value_counts_by_its_noiseless_value():
    noisy = [
        Curve([5.0, 1.0], [1.0, 1.0], noiseless=[2.0, 3.0]),
        Curve([4.0, 6.0], [1.0, 1.0], noiseless=[4.0, 3.5]),
    ]
    found = replay(trained(noisy), Scripted(), workers=1, epochs=4)
    assert [found.noiseless_after(epochs) for epochs in (1, 2, 3, 4)] == [2.0, 2.0, 2.0, 3.5]


class Listening(StudyScheduler):
    """Stores all reported values."""

    def __init__(self):
        super().__init__()
        self.told = []

    def on_event(self, event, replay):
        assert not replay
        self.told.append(event)


def test_a_replayed_study_emits_the_events_of_a_real_study():
    scheduler = Listening()
    study = OurStudy(RandomSearch(SPACE, seed=0), scheduler, epochs=2, trials=9)
    curves = iter([curve(0.1, 0.2), curve(0.3, math.nan)])
    replay(lambda config: next(curves), study, workers=1, epochs=4)
    kinds = [type(event) for event in scheduler.told]
    assert kinds == [Suggested, Result, Result, Ended, Suggested, Result, Ended]
    ends = [event for event in scheduler.told if isinstance(event, Ended)]
    assert [(end.trial, end.epoch, end.status) for end in ends] == [
        (0, 2, "finished"),
        (1, 2, "diverged"),
    ]


def test_a_replayed_study_stops_and_promotes_under_asha():
    told = []

    class Searcher(RandomSearch):
        def on_event(self, event, replay):
            told.append(event)

    scheduler = ASHA(max_epochs=3, grace_period=1)
    study = OurStudy(Searcher(SPACE, seed=0), scheduler, epochs=3, trials=9)
    curves = iter([curve(0.5, 0.6, 0.7), *[curve(0.1, 0.1, 0.1)] * 8])
    replay(lambda config: next(curves), study, workers=1, epochs=5)
    (promoted,) = [event for event in told if isinstance(event, Promoted)]
    assert (promoted.trial, promoted.rung) == (0, 1)
    after = told[told.index(promoted) + 1 :]
    assert [(event.trial, event.epoch) for event in after if isinstance(event, Result)] == [
        (0, 2),
        (0, 3),
    ]
    stops = [event for event in told if isinstance(event, Decision) and event.stop]
    assert [event.trial for event in stops] == [0, 1, 2]


def test_events_that_a_scheduler_adds_are_reported_back_to_it():
    late = Decision(trial=0, rung=1, value=0.1, cutoff=None, rank=1, of=1, stop=False)

    class Late(Listening):
        def take_events(self):
            return [late] if isinstance(self.told[-1], Ended) else []

    scheduler = Late()
    study = OurStudy(RandomSearch(SPACE, seed=0), scheduler, epochs=1, trials=1)
    replay(lambda config: curve(0.1), study, workers=1, epochs=1)
    assert [type(event) for event in scheduler.told] == [Suggested, Result, Ended, Decision]


def test_a_searcher_without_further_points_ends_the_study():
    grid = GridSearch(SPACE)
    study = OurStudy(grid, StudyScheduler(), epochs=1, trials=99)
    found = replay(lambda config: curve(0.1), study, workers=2, epochs=99)
    assert found.trials == found.epochs == len(LEARNING_RATE.grid)


@given(
    seed=st.integers(0, 99),
    workers=st.integers(1, 9),
    grace=st.integers(1, 5),
    rule=st.sampled_from(["promotion", "top", "ray"]),
)
def test_no_trial_trains_an_epoch_twice_or_skips_one(seed, workers, grace, rule):
    told = []

    class Watched(OurStudy):
        def tell(self, trial, epoch, value):
            told.append((trial, epoch))
            return super().tell(trial, epoch, value)

    scheduler = ASHA(max_epochs=9, grace_period=grace, rung_rule=rule)
    study = Watched(RandomSearch(SPACE, seed=seed), scheduler, epochs=9, trials=60)

    def train(config):
        return curve(*(math.sin(e * config["learning_rate"] * 1e3) for e in range(9)))

    replay(train, study, workers=workers, epochs=60)
    assert len(told) == len(set(told)) == 60
    by_trial: dict[int, int] = {}
    for trial, epoch in told:
        assert epoch == by_trial.get(trial, 0) + 1
        by_trial[trial] = epoch


def test_an_invalid_study_is_refused():
    scheduler = ASHA(max_epochs=3, grace_period=1)
    warm_up = Space("warm", (LEARNING_RATE,), fixed=(("epochs_warmup", 2),))
    with pytest.raises(ValueError, match="warm-up"):
        OurStudy(RandomSearch(warm_up, seed=0), scheduler, epochs=3, trials=1)
