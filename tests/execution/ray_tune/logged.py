"""A script of Ray Tune's with loggers and stoppers: `logged.py --address ADDRESS STORAGE [STUDY]`
runs it, or resumes a study of it."""

import json
import sys
import tempfile
import time
from pathlib import Path

from ray.tune import Checkpoint
from ray.tune.logger import CSVLoggerCallback, JsonLoggerCallback, TBXLoggerCallback
from ray.tune.stopper import MaximumIterationStopper, TrialPlateauStopper

import tune_cluster as tune

EPOCHS = 5


def train(config):
    epoch = 0
    checkpoint = tune.get_checkpoint()
    if checkpoint:
        with checkpoint.as_directory() as folder:
            epoch = json.loads(Path(folder, "state.json").read_text())
    while True:
        epoch += 1
        time.sleep(0.3)
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "state.json").write_text(json.dumps(epoch))
            tune.report(
                {"score": epoch * config["outer"]["rate"]},
                checkpoint=Checkpoint.from_directory(folder),
            )


def tuner():
    return tune.Tuner(
        train,
        param_space={"outer": {"rate": tune.grid_search([1.0, 2.0])}, "constant": "c"},
        tune_config=tune.TuneConfig(metric="score", mode="max", max_concurrent_trials=1),
        run_config=tune.RunConfig(
            stop=[MaximumIterationStopper(EPOCHS), TrialPlateauStopper("score", std=1e-6)],
            callbacks=[CSVLoggerCallback(), JsonLoggerCallback(), TBXLoggerCallback()],
        ),
    )


if __name__ == "__main__":
    _, address, storage, *resume = sys.argv[1:]
    given = {"resume": resume[0]} if resume else {"storage_path": storage, "name": "logged"}
    tuner().fit(tune.Options(address=address, **given))
