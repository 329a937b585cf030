"""What lies in Tune's own folder when a study has ended is read by nobody."""

import json
import pickle

import pytest
from ray.tune.search import Searcher

from search_spaces.searchers.random_search import RandomSearch
from tests.in_process import SPACE
from tests.test_hostile_pickles import Hostile
from tests.trial.test_wrapper import trainable_that


class NoMore(RandomSearch):
    """Has nothing to suggest: Tune asks its folder then which trials there were."""

    def suggest(self, trial_id):
        return Searcher.FINISHED


@pytest.mark.slow
def test_a_state_of_the_study_that_another_has_written_is_not_unpickled(run_study, tmp_path):
    marker = tmp_path / "was-unpickled"
    pickled = {"_type": "CLOUDPICKLE_FALLBACK", "value": pickle.dumps(Hostile(marker)).hex()}
    folder = tmp_path / "study" / ".tune"
    folder.mkdir(parents=True)
    # Later than any name that Tune gives: it opens the last one.
    (folder / "experiment_state-z.json").write_text(json.dumps({"trial_data": pickled}))
    _, trials, _ = run_study(trainable_that(lambda *_: None), searcher=NoMore(SPACE, seed=0))
    assert trials == {}
    assert not marker.exists()
