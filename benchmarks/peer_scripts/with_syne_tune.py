"""The study with Syne Tune: its ASHA on its local backend, a process for each trial."""

from pathlib import Path

import numpy as np
import pandas as pd
from syne_tune import StoppingCriterion, Tuner
from syne_tune.backend import LocalBackend
from syne_tune.config_space import choice, loguniform
from syne_tune.optimizer.baselines import ASHA
from work import (
    BATCH_SIZES,
    DATA,
    DATASET,
    GRACE_PERIOD,
    LEARNING_RATES,
    REDUCTION_FACTOR,
    TRAIN_RATIO,
    WORKERS,
    arguments,
    points,
    tell,
)

from trainables.image.datasets import load_dataset

TRIAL = Path(__file__).with_name("syne_tune_trial.py")


def main() -> None:
    """Prepare the data, tune, report the result."""
    options = arguments()
    # Split and checked once, so that a trial's process only has to read it.
    data = load_dataset(DATASET, DATA, seed=options.seed, train_ratio=TRAIN_RATIO).search
    arrays = options.folder / "data.npz"
    np.savez(
        arrays,
        pixels=data.inputs.pixels,
        targets=data.targets,
        class_names=data.class_names,
        name=data.name,
        train_count=data.train_count,
        train_ratio=data.train_ratio,
    )

    config_space = {
        "learning_rate": loguniform(*LEARNING_RATES),
        "batch_size": choice(list(BATCH_SIZES)),
        "epochs": options.epochs,
        "seed": options.seed,
        "data": str(arrays),
    }
    tuner = Tuner(
        trial_backend=LocalBackend(entry_point=str(TRIAL)),
        scheduler=ASHA(
            config_space,
            metric="val_accuracy",
            do_minimize=False,
            time_attr="epoch",
            max_t=options.epochs,
            grace_period=GRACE_PERIOD,
            reduction_factor=REDUCTION_FACTOR,
            points_to_evaluate=points(options.folder),
        ),
        # It stops above this number, and would end the trials that run then. With
        # `max_num_trials_finished` it would have begun others by then.
        stop_criterion=StoppingCriterion(max_num_trials_started=options.trials - 1),
        wait_trial_completion_when_stopping=True,
        n_workers=WORKERS,
        # The default, 5 s, is for longer epochs.
        sleep_time=0.1,
    )
    tuner.run()
    results = pd.read_csv(tuner.tuner_path / "results.csv.zip")
    tell(options.folder, [list(rows) for _, rows in results.groupby("trial_id")["val_accuracy"]])


if __name__ == "__main__":
    main()
