"""A searcher of Ray Tune gets only results that it can handle."""

from ray import tune
from ray.tune.search import Searcher

from search_spaces.schedulers.asha import ASHA
from search_spaces.searchers.adapter import AdaptedSearcher
from search_spaces.trial_events import Ended, Promoted, Result
from tests.search_spaces.conftest import EVERYTHING, study_of


class Live(Searcher):
    """Knows a trial until its end is reported, as many of Tune's searchers do."""

    def __init__(self):
        super().__init__()
        self.told = {}

    def set_search_properties(self, metric, mode, config, **spec):
        return True

    def suggest(self, trial_id):
        self.told[trial_id] = []
        return {"rate": 0.1}

    def on_trial_result(self, trial_id, result):
        self.told[trial_id].append(result["score"])

    def on_trial_complete(self, trial_id, result=None, error=False):
        self.ended = self.told.pop(trial_id)


def test_a_trial_that_is_promoted_has_one_end():
    theirs = Live()
    searcher = AdaptedSearcher(theirs, EVERYTHING, {"rate": tune.uniform(0, 1)})
    study_of(searcher, ASHA(max_epochs=9)).check()
    assert searcher.point(0) == {"rate": 0.1}
    for event in (
        Result(trial=0, epoch=1, metrics={"score": 0.1}),
        Ended(trial=0, epoch=1, status="stopped", rung=1),
        Promoted(trial=0, rung=1, value=0.1, rank=1, of=3),
        Result(trial=0, epoch=2, metrics={"score": 0.2}),
        Ended(trial=0, epoch=2, status="finished"),
    ):
        searcher.on_event(event, replay=False)
    assert theirs.ended == [0.1]
