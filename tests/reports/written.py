"""Studies that tests of reports write by hand."""

import json

from tests.studies import about

TRIALS = [
    ([0.1, 0.5, 0.4], "finished"),
    ([0.2], "stopped"),
    ([0.3], "diverged"),
    ([], "diverged"),
    ([], "failed"),
    ([0.1, 0.2], "finished"),
    ([0.4, 0.1], None),
    ([], None),
]
"""The metric by epoch, and how the trial ended."""


SEARCHED = ("learning_rate", "batch_size", "quality")


def write_study(folder, trials=TRIALS, mode="max", config=None, rungs=(1, 3), searched=SEARCHED):
    with_rungs = {"rungs": list(rungs), "grace_period": 1, "reduction_factor": 3, "max_epochs": 9}
    space = {"name": "space", "parameters": [{"name": name} for name in searched], "fixed": {}}
    stored = about(mode=mode, strategy=with_rungs if rungs else {}, space=space)
    (folder / "study.json").write_text(json.dumps(stored))
    events = [{"event": "session"}]
    for index, (values, status) in enumerate(trials):
        chosen = {"learning_rate": 10.0 ** -(1 + index % 4), "batch_size": 32 << index % 3}
        chosen = chosen if config is None else config
        events += [{"event": "suggested", "trial": index, "config": chosen}]
        events += [{"event": "started", "trial": index}]
        for epoch, value in enumerate(values, start=1):
            metrics = {"score": value}
            events.append({"event": "result", "trial": index, "epoch": epoch, "metrics": metrics})
        if status is not None:
            end = {"event": "ended", "trial": index, "status": status, "epoch": len(values)}
            events.append(end)
    (folder / "journal.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    return folder
