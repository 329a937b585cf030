"""Tune's controller, told once of a lost process."""

import pytest
from ray.exceptions import ActorDiedError, NodeDiedError, OutOfMemoryError
from ray.tune.experiment import Trial

from tune_jobs.runtime.controller import OnceTold


@pytest.mark.parametrize("loss", [ActorDiedError(), OutOfMemoryError("of it"), NodeDiedError("of")])
def test_a_trial_that_waits_for_a_process_has_none_to_lose(loss):
    told = []
    # Of a controller only what comes before Tune's own part, which needs all of a study.
    controller = OnceTold.__new__(OnceTold)
    controller._on_loss = lambda *loss: told.append(loss)
    trial = Trial("a trial", stub=True)
    assert trial.status == Trial.PENDING
    controller._resetting_trials = {trial}
    controller._process_trial_failure(trial, exception=loss)
    assert told == []
    assert controller._resetting_trials == set()
    assert trial.num_failures == 0
