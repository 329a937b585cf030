"""Callbacks of a person's own, over two sessions of a study on a real Ray."""

import pytest

import tune_cluster
from search_spaces.searchers.random_search import RandomSearch
from tests.execution.test_audit import toy
from tests.in_process import SPACE

SEARCH = RandomSearch(SPACE, seed=0)


class Witness(tune_cluster.Callback):
    def __init__(self):
        self.seen, self.result = [], None

    def on_event(self, event, state, replay):
        self.seen.append((event.name, replay))
        if event.name == "ended":
            assert state.trials[event.trial].ended

    def on_end(self, result):
        self.result = result


@pytest.mark.slow
def test_a_callback_is_told_all_sessions_events_and_the_result(run_study):
    first, second = Witness(), Witness()
    run_study(toy(), trials=2, callbacks=[first])
    run_study(toy(), trials=3, callbacks=[second])
    assert first.seen[0] == ("session", False)
    assert first.seen[-1] == ("closed", False)
    assert sum(name == "ended" for name, _ in first.seen) == 2
    before = [name for name, replay in second.seen if replay]
    assert before == [name for name, _ in first.seen]
    assert second.seen[len(before)] == ("session", False)
    assert not any(replay for _, replay in second.seen[len(before) :])
    assert second.result.metric == "score"


def test_an_object_that_is_no_callback_is_refused_by_its_kind():
    with pytest.raises(ValueError, match=r"callbacks=.*tune_cluster\.Callback"):
        tune_cluster.Tuner(
            toy(),
            tune_config=tune_cluster.TuneConfig(metric="score", mode="max", search_alg=SEARCH),
            run_config=tune_cluster.RunConfig(callbacks=[object()]),
        )
