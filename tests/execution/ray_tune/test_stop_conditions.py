"""Ray Tune's ways to say when a trial or a study ends, asked of results as a study has them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray import tune
from ray.tune.stopper import (
    CombinedStopper,
    ExperimentPlateauStopper,
    MaximumIterationStopper,
    TimeoutStopper,
    TrialPlateauStopper,
)

from tests.journals import event_of, state_of
from tune_cluster.callbacks.stopping import CONDITION, CONDITION_FAILED, Limits, StudyStopper
from tune_cluster.execution.ray_tune.stop_conditions import (
    StopConditions,
    epochs_in,
    stopper_of,
)
from tune_cluster.trial.messages import TrialReport

SUGGESTED = event_of("suggested", config={"lr": 0.1})


class Asked:
    """A study with one trial, whose results are asked one after the other.

    Args:
        stop: as in `RunConfig`.
        earlier: values of the metric that earlier sessions had.
    """

    def __init__(self, stop, earlier=()):
        results = [self.event(epoch, score) for epoch, score in enumerate(earlier, start=1)]
        self.state = state_of([SUGGESTED, event_of("started"), *results])
        self.study = StudyStopper(Limits(), self.state)
        self.conditions = StopConditions(stop, self.study, self.state)
        for event in results:
            self.conditions.on_event(event, self.state, replay=True)

    @staticmethod
    def event(epoch, score):
        return event_of("result", epoch=epoch, metrics={"score": score})

    def stops(self, *scores):
        """Return whether the trial ends after each of its next results."""
        answers = []
        for score in scores:
            epoch = self.state.trials[0].epochs + 1
            report = TrialReport(epoch=epoch, metrics={"score": score})
            result = {**report.to_result(self.state.objective), "time_total_s": 1.5}
            answers.append(self.conditions.stops(0, result))
            self.state.apply(self.event(epoch, score))
        return answers


def large_enough(trial_id, result):
    assert (trial_id, result["trial_id"]) == ("0000", "0000")
    assert result["config"] == {"lr": 0.1}
    return result["score"] >= 0.5 and result["training_iteration"] >= 2


@pytest.mark.parametrize(
    ("stop", "answers"),
    [
        (None, [False, False, False]),
        ({"training_iteration": 2}, [False, False, False]),
        ({"score": 0.5}, [False, True, True]),
        ({"training_iteration": 9, "score": 0.7, "time_total_s": 60}, [False, False, True]),
        (large_enough, [False, True, True]),
        (MaximumIterationStopper(2), [False, True, True]),
        ([MaximumIterationStopper(3), TrialPlateauStopper("score")], [False, False, True]),
        (CombinedStopper(MaximumIterationStopper(2), TimeoutStopper(60)), [False, True, True]),
    ],
)
def test_a_trial_ends_where_it_would_in_ray_tune(stop, answers):
    assert Asked(stop).stops(0.2, 0.6, 0.9) == answers


def test_a_duration_is_a_stop_condition_though_the_trial_does_not_report_it():
    assert Asked({"time_total_s": 1}).stops(0.2) == [True]


def test_training_iteration_in_a_stop_dictionary_sets_the_epochs_of_the_study():
    assert epochs_in({"training_iteration": 20, "score": 0.9}) == 20
    assert epochs_in({"epoch": 3, "training_iteration": 20}) == 3
    assert epochs_in({"score": 0.9}) is None
    assert epochs_in(large_enough) is None


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.integers(0, 12))
def test_a_stopper_that_counts_continues_to_count_after_a_resume(scores, killed_after):
    def stop():
        return [MaximumIterationStopper(8), TrialPlateauStopper("score", std=0.05, num_results=3)]

    whole = Asked(stop()).stops(*scores)
    resumed = Asked(stop(), scores[:killed_after]).stops(*scores[killed_after:])
    assert resumed == whole[killed_after:]


def test_the_reason_of_a_stop_names_the_value_that_has_reached_its_limit():
    asked = Asked({"score": 0.5})
    asked.stops(0.6)
    assert asked.conditions.take_reason(0) == "stop condition: score 0.6000 >= 0.5000"
    assert asked.conditions.take_reason(0) == ""


def test_an_experiment_stopper_ends_the_study_and_ends_it_again_on_resume():
    def stop():
        return ExperimentPlateauStopper("score", std=0.01, top=2, mode="max")

    asked = Asked(stop())
    assert asked.stops(0.5) == [False]
    assert not asked.conditions.end_study()
    assert asked.stops(0.5) == [True]
    assert asked.conditions.end_study()
    assert asked.study.why == CONDITION
    resumed = Asked(stop(), [0.5, 0.5])
    assert resumed.conditions.end_study()


def test_a_stop_function_that_fails_ends_the_study_and_names_trial_and_error():
    asked = Asked(lambda trial_id, result: result["accuracy"] > 0.9)
    assert asked.stops(0.5) == [False]
    assert asked.study.why == CONDITION_FAILED
    assert "trial 0 after epoch 1" in asked.study.reason
    assert "KeyError('accuracy')" in asked.study.reason


def test_a_stop_metric_that_the_first_trial_never_reports_ends_the_study():
    asked = Asked({"accuracy": 0.9})
    asked.stops(0.5)
    ended = event_of("ended", epoch=1, status="finished")
    asked.conditions.on_event(ended, asked.state, replay=False)
    assert asked.study.why == CONDITION_FAILED
    assert "no trial has reported accuracy; trial 0 reports score" in asked.study.reason


@pytest.mark.parametrize(
    "stop",
    [
        5,
        "done",
        {"score": "high"},
        {3: 4},
        {"training_iteration": 0},
        [large_enough],
        [],
        tune.Stopper,
    ],
)
def test_an_invalid_stop_condition_is_refused(stop):
    with pytest.raises(ValueError, match=r"RunConfig\(stop="):
        stopper_of(stop)
