"""What ran where: work without waiting, on the node that did it, with that of failed trials."""

from tests.journals import SCORE, state_of, typed
from tests.studies import about
from tune_cluster.reports.work import Work, nodes_of, work_of
from tune_cluster.study.stored import StoredStudy


def at(time, kind, trial, **fields):
    return typed({"event": kind, "time": time, "trial": trial, **fields})


def result(time, trial, epoch, node):
    return at(time, "result", trial, epoch=epoch, node=node, metrics={"score": 0.5})


EVENTS = [
    typed({"event": "session", "time": 100.0}),
    at(100.0, "suggested", 0),
    at(100.0, "suggested", 1),
    at(101.0, "started", 0),
    at(101.0, "started", 1),
    result(110.0, 0, 1, "a"),
    at(110.0, "ended", 0, epoch=1, status="stopped", rung=1),
    result(115.0, 1, 1, "b"),
    at(121.0, "ended", 1, epoch=2, status="failed", reason="no memory"),
    at(200.0, "promoted", 0, rung=1),
    result(203.0, 0, 2, "b"),
    at(203.0, "ended", 0, epoch=2, status="finished"),
]


def study_of(events, **flags):
    stored = about(metric="score", mode="max")
    return StoredStudy(
        {**stored, "flags": {**stored["flags"], **flags}}, events, state_of(events, SCORE)
    )


def test_waiting_for_a_promotion_is_no_work_and_a_failed_epoch_is():
    work = work_of(study_of(EVENTS))
    assert work == {
        "a": [Work(0, 1.0, 10.0)],
        "b": [Work(1, 1.0, 21.0), Work(0, 100.0, 103.0)],
    }


def test_a_node_has_its_trials_epochs_hours_and_money():
    study = study_of(EVENTS, price_per_gpu_hour=3.0, gpus_per_trial=0.5)
    a, b = nodes_of(study, work_of(study))
    assert (a.trials, a.epochs, a.hours, a.money) == (1, 1, 9 / 3600, 1.5 * 9 / 3600)
    assert (b.trials, b.epochs, b.hours) == (2, 2, 23 / 3600)
    (free, _) = nodes_of(study_of(EVENTS), work_of(study))
    assert free.money is None


def test_results_of_trials_in_turn_are_one_stretch_of_work_each():
    turns = [result(110.0, 0, 1, "a"), result(111.0, 1, 1, "a"), result(120.0, 0, 2, "a")]
    assert work_of(study_of([*EVENTS[:5], *turns])) == {
        "a": [Work(0, 1.0, 20.0), Work(1, 1.0, 11.0)]
    }


def test_a_trial_that_fails_before_a_result_has_worked_on_an_unknown_node():
    events = [*EVENTS[:4], at(107.0, "ended", 0, epoch=1, status="failed", reason="no such file")]
    assert work_of(study_of(events)) == {"unknown": [Work(0, 1.0, 7.0)]}


def test_a_study_without_times_has_no_work():
    untimed = [typed({**event.to_json(), "time": None}) for event in EVENTS]
    assert work_of(study_of(untimed)) == {}
