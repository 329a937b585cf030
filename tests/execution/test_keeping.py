"""Who has a share of a quota of checkpoints when a session begins."""

import pytest

from tests.in_process import study_in
from tune_cluster.execution.keeping import divide_quota


def begun_controls(count):
    """The journal of a study that was killed while its last trials were finished as controls."""
    events = []
    for index in range(count):
        events += [
            {"event": "suggested", "trial": index, "config": {}},
            {"event": "result", "trial": index, "epoch": 1, "metrics": {"score": 0.5}},
            {"event": "ended", "trial": index, "status": "stopped", "rung": 1, "epoch": 1},
            {"event": "control_started", "trial": index},
        ]
        events[-2]["control"] = True
    return events


@pytest.mark.parametrize(
    ("trials", "controls", "running"),
    [
        # Only they are left: two at a time, or all that had begun when more ran at once.
        (1, 1, 1),
        (2, 2, 2),
        (5, 5, 5),
        # The study has grown: they wait with their checkpoints until the new trials have ended.
        (8, 0, 2),
        (8, 2, 4),
    ],
)
def test_a_control_that_has_begun_has_a_share(tmp_path, trials, controls, running):
    study = study_in(tmp_path, begun_controls(controls), trials=trials, checkpoint_budget="100MB")
    divide_quota(study, 1_000_000)
    assert study.quota.running == running
    assert study.quota.ended > 0
