"""The study with Optuna: two processes over one journal, its successive halving, our `fit()`."""

import math
import multiprocessing

import optuna
import torch
from optuna.pruners import SuccessiveHalvingPruner
from optuna.samplers import RandomSampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import MaxTrialsCallback
from optuna.trial import TrialState
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

from trainables.data.dataset import SearchData
from trainables.image.config import ImageConfig
from trainables.image.datasets import load_dataset
from trainables.image.images import Images
from trainables.image.task import ImageData
from trainables.training.loop import fit


def open_study(journal: str, seed: int) -> optuna.Study:
    """Return the study that all processes share."""
    return optuna.create_study(
        study_name="peers",
        storage=JournalStorage(JournalFileBackend(journal)),
        direction="maximize",
        sampler=RandomSampler(seed=seed),
        pruner=SuccessiveHalvingPruner(
            min_resource=GRACE_PERIOD,
            reduction_factor=REDUCTION_FACTOR,
            min_early_stopping_rate=0,
        ),
        load_if_exists=True,
    )


def work(journal: str, data: SearchData[Images], trials: int, epochs: int, seed: int) -> None:
    """Run trials until all processes together have begun `trials`."""

    def objective(trial: optuna.Trial) -> float:
        config = ImageConfig(
            learning_rate=trial.suggest_float("learning_rate", *LEARNING_RATES, log=True),
            batch_size=trial.suggest_categorical("batch_size", BATCH_SIZES),
            epochs=epochs,
            train_ratio=TRAIN_RATIO,
            patience=0,
            seed=trial.number,
        )
        accuracy = math.nan
        for metrics, _ in fit(config, ImageData(data)):
            accuracy = metrics["val_accuracy"]
            trial.report(accuracy, int(metrics["epoch"]))
            # At a rung a NaN is pruned too.
            if trial.should_prune():
                raise optuna.TrialPruned
        # A NaN between two rungs, after which `fit` ends, is a failed trial for Optuna.
        return accuracy

    # Running trials count, so that the last one is not begun twice.
    begun = [state for state in TrialState if state != TrialState.WAITING]
    enough = MaxTrialsCallback(trials, states=begun)
    open_study(journal, seed).optimize(objective, callbacks=[enough])


def main() -> None:
    """Load the data, run the processes, report the result."""
    options = arguments()
    torch.set_num_threads(1)
    data = load_dataset(DATASET, DATA, seed=options.seed, train_ratio=TRAIN_RATIO).search
    journal = str(options.folder / "journal.log")
    study = open_study(journal, options.seed)
    for point in points(options.folder):
        study.enqueue_trial(point)
    # Forked, as its tutorial does: imports and data are paid for once.
    context = multiprocessing.get_context("fork")
    processes = [
        context.Process(
            target=work,
            args=(journal, data, options.trials, options.epochs, WORKERS * options.seed + worker),
        )
        for worker in range(WORKERS)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    if any(process.exitcode for process in processes):
        raise RuntimeError("a process failed")
    tell(options.folder, [list(trial.intermediate_values.values()) for trial in study.trials])


if __name__ == "__main__":
    main()
