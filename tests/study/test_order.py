"""Which events of a journal can follow each other."""

import pytest

from tune_cluster.study.order import Order


def event(kind, trial=0, **rest):
    return {"event": kind, "trial": trial, **rest}


SUGGESTED = event("suggested", config={})
STOPPED = event("ended", status="stopped", rung=1, epoch=1)
PROMOTED = event("promoted", rung=1)


def result(epoch, kind="result"):
    return event(kind, epoch=epoch, metrics={})


def order_of(events):
    order = Order()
    for one in events:
        order.take(one)
    return order


@pytest.mark.parametrize(
    ("before", "then", "said"),
    [
        ([], event("started"), "trial 0 has not been suggested"),
        ([SUGGESTED], event("suggested", 2), "trial 2 is suggested where trial 1 is next"),
        ([SUGGESTED], SUGGESTED, "trial 0 is suggested where trial 1 is next"),
        ([SUGGESTED], event("exploited", donor=999), "trial 999 has not been suggested"),
        ([SUGGESTED, result(2)], result(1), "epoch 1 comes after epoch 2"),
        ([SUGGESTED, result(2)], result(2), "epoch 2 comes after epoch 2"),
        ([SUGGESTED, result(1)], event("decision", rung=3), "no result of its rung, epoch 3"),
        ([SUGGESTED], STOPPED, "no result of its last epoch, 1"),
        ([SUGGESTED, result(1), STOPPED], STOPPED, "has ended before"),
        ([SUGGESTED, result(1), STOPPED], result(2), "has ended before"),
        ([SUGGESTED, result(1), STOPPED], event("started"), "has ended before"),
        ([SUGGESTED, result(1)], PROMOTED, "was not stopped at rung 1"),
        ([SUGGESTED, result(1), STOPPED], event("promoted", rung=3), "was not stopped at rung 3"),
        ([SUGGESTED, result(2, "control")], result(2, "control"), "epoch 2 comes after epoch 2"),
        (
            [SUGGESTED, event("control_ended")],
            event("control_ended"),
            "the control has ended before",
        ),
    ],
)
def test_what_cannot_come_is_refused_and_not_taken_in(before, then, said):
    order = order_of(before)
    for _ in range(2):
        with pytest.raises(ValueError, match=said):
            order.take(then)


@pytest.mark.parametrize(
    "events",
    [
        # A report every second epoch.
        [SUGGESTED, result(2), result(4), event("ended", status="finished", epoch=4)],
        [SUGGESTED, result(1), STOPPED, PROMOTED, result(2), event("ended", status="failed")],
        [SUGGESTED, result(1), STOPPED, event("control_started"), result(2, "control")],
        [SUGGESTED, event("ended", status="diverged", epoch=1)],
        # A stop of which power was lost: its decision is written by the next session.
        [SUGGESTED, result(1), STOPPED, event("decision", rung=1)],
        [{"event": "session"}, {"event": "closed"}, {"event": "session"}],
    ],
)
def test_what_a_driver_writes_is_taken(events):
    order_of(events)
