"""Tune's controller and processes that are lost between two trials, on a real Ray."""

import os
import threading

import pytest

from search_spaces.schedulers.asha import ASHA
from tests.trial.test_wrapper import trainable_that
from tune_cluster.study.journal import JOURNAL, read_events


@pytest.mark.long
def test_a_process_that_dies_as_the_next_trial_is_handed_it_costs_no_trial(run_study):
    def act(config, epoch, result):
        if epoch == 9:
            # From before Tune hands it on until after the next trial has begun.
            delay = config["quality"] / 20
            threading.Timer(delay, os._exit, args=(1,)).start()

    code, trials, study = run_study(
        trainable_that(act),
        trials=6,
        max_concurrent=1,
        scheduler=ASHA(max_epochs=9, rung_rule="ray", grace_period=9),
    )
    assert code == 0
    assert [(trial.status, trial.epochs) for trial in trials.values()] == [("finished", 9)] * 6
    events = read_events(study.directory / JOURNAL)
    assert len([e for e in events if e["event"] == "ended"]) == 6
    assert [e for e in events if e["event"] == "retried"]
