"""Studies that tests of the report and the doctor make up, from a few words on each trial."""

import json
import math

from tests.studies import about
from tune_cluster.study.stored import read_study

RATE = {"name": "learning_rate", "low": 1e-4, "high": 1e-1, "scale": "log", "integer": False}
BATCH = {"name": "batch_size", "values": [32, 64, 128], "ordered": True}
EPOCHS = 12

SECONDS = 10.0
"""Seconds of an epoch."""


def curve(value, epochs=EPOCHS, **changed):
    """Return the metrics by epoch of a trial that rises to `value`, with falling losses."""
    found = []
    for epoch in range(1, epochs + 1):
        # Noise that no generator has to make: it is the same for each trial.
        wave = 0.002 * math.sin(7 * epoch + 100 * value)
        metrics = {
            "score": value * (1 - math.exp(-epoch)) + wave,
            "train_loss": 1 / epoch,
            "val_loss": 1 / epoch + 0.3,
        }
        found.append({**metrics, **{name: of(epoch) for name, of in changed.items()}})
    return found


def trial(
    value=0.5,
    status="finished",
    epochs=EPOCHS,
    rate=None,
    batch=64,
    reason="",
    rung=None,
    **changed,
):
    """Return a trial as `study` takes it."""
    config = {"batch_size": batch} | ({} if rate is None else {"learning_rate": rate})
    return {"config": config, "curve": curve(value, epochs, **changed), "status": status,
            "reason": reason, "rung": rung}  # fmt: skip


def spread(count=20, best=1e-2, low=1e-4, high=1e-1, **more):
    """Return trials over the range of the learning rate, the best of them near `best`."""
    found = []
    for at in range(count):
        rate = low * (high / low) ** ((at + 0.5) / count)
        value = 0.9 - 0.1 * (math.log10(rate) - math.log10(best)) ** 2
        found.append(trial(value, rate=rate, batch=(32, 64, 128)[at % 3], **more))
    return found


def write(
    folder,
    trials,
    parameters=(RATE, BATCH),
    rungs=(),
    in_order=False,
    trained_twice=(),
    killed=(),
    together=0,
    **changed,
):
    """Write a study of these trials, one after the other, shuffled unless `in_order`.

    Args:
        trained_twice: trials whose results are lost once.
        killed: trials whose process is killed in their first epoch.
        together: number of the first trials that have their places from the beginning.
    """
    folder.mkdir(parents=True, exist_ok=True)
    strategy = {}
    if rungs:
        strategy = {
            "rungs": list(rungs),
            "grace_period": 1,
            "reduction_factor": 3,
            "max_epochs": 99,
        }
    space = {"name": "space", "parameters": list(parameters), "fixed": {}}
    (folder / "study.json").write_text(json.dumps(about(space=space, strategy=strategy, **changed)))
    now = 1000.0
    events = [{"event": "session", "time": now}]
    shuffled = sorted(range(len(trials)), key=lambda at: (at * 7) % 11)
    ordered = trials if in_order else [trials[at] for at in shuffled]
    for index, one in enumerate(ordered):
        events.append({"event": "suggested", "trial": index, "config": one["config"], "time": now})
    for index in range(together):
        events.append({"event": "started", "trial": index, "time": now})
    for index, one in enumerate(ordered):
        if index >= together:
            events.append({"event": "started", "trial": index, "time": now})
        if index in killed:
            now += 3 * SECONDS
            lost = {"epoch": 1, "reason": "its process was lost", "lost": True}
            events.append({"event": "retried", "trial": index, "time": now, **lost})
            now += SECONDS
            events.append({"event": "started", "trial": index, "time": now})
        for again in range(2 if index in trained_twice else 1):
            if again:
                lost = {"first": 1, "last": len(one["curve"])}
                events.append({"event": "epochs_lost", "trial": index, "time": now, **lost})
            for epoch, metrics in enumerate(one["curve"], start=1):
                now += SECONDS
                result = {"event": "result", "trial": index, "epoch": epoch, "node": "one"}
                events.append({**result, "metrics": metrics, "time": now})
        end = {"event": "ended", "trial": index, "status": one["status"],
               "epoch": len(one["curve"]), "time": now}  # fmt: skip
        more = {name: one[name] for name in ("reason", "rung") if one.get(name)}
        events.append(end | more)
    events.append({"event": "closed", "why": "all trials", "time": now})
    (folder / "journal.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    return folder


def study(folder, trials, **more):
    """Return a study of these trials, as read from its files."""
    return read_study(write(folder, trials, **more))
