"""Messages from a trial's process to the driver, through Tune."""

import pickle

import pytest
from ray.tune.utils import flatten_dict

from search_spaces.objective import Objective
from tune_cluster.trial.messages import BAD_VALUE, FreshProcess, Restored, Retry, TrialReport

MAX = Objective("score", "max")

EPOCH = TrialReport(
    epoch=3,
    metrics={"score": 0.5, "train_loss": None},
    step_losses=[[1, 0.5]],
    restored=Restored(2, ["checkpoint_000004"]),
    retried=[Retry(3, "OSError: the file is busy")],
)
FAILED = TrialReport(epoch=2, status="failed", reason="no score", infrastructure_failure=True)
SHARE = TrialReport(epoch=1, fresh_process=FreshProcess("share", gpus=0.5))


@pytest.mark.parametrize("report", [EPOCH, FAILED, SHARE])
def test_a_report_survives_pickling_and_flattening_of_its_result(report):
    result = pickle.loads(pickle.dumps(report.to_result(MAX)))
    assert TrialReport.from_result(result) == report
    assert TrialReport.from_result(flatten_dict(result)) == report


def test_tune_reads_the_metrics_the_epoch_and_whether_the_trial_has_ended():
    result = EPOCH.to_result(MAX)
    assert (result["score"], result["epoch"], result["done"]) == (0.5, 3, False)


@pytest.mark.parametrize(("mode", "value"), [("max", -BAD_VALUE), ("min", BAD_VALUE)])
def test_a_failed_trial_has_a_finite_bad_value(mode, value):
    result = FAILED.to_result(Objective("score", mode))
    assert (result["score"], result["done"]) == (value, True)


def test_a_request_for_a_fresh_process_is_no_result_of_an_epoch():
    assert SHARE.to_result(MAX).keys() == {"epoch", "trial_report"}
