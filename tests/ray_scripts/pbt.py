"""As in Ray's "A Guide to Population Based Training": a function that reads its checkpoint."""

import json
import os
import tempfile

from ray import tune
from ray.tune.schedulers import PopulationBasedTraining


def train_fn(config):
    step, accuracy = 1, 0.0
    checkpoint = tune.get_checkpoint()
    if checkpoint:
        with checkpoint.as_directory() as checkpoint_dir:
            with open(os.path.join(checkpoint_dir, "state.json")) as f:
                state = json.load(f)
        step, accuracy = state["step"] + 1, state["accuracy"]
    while True:
        accuracy += config["model"]["lr"] * config["momentum"]
        with tempfile.TemporaryDirectory() as checkpoint_dir:
            with open(os.path.join(checkpoint_dir, "state.json"), "w") as f:
                json.dump({"step": step, "accuracy": accuracy}, f)
            tune.report(
                {"mean_accuracy": accuracy, "lr": config["model"]["lr"]},
                checkpoint=tune.Checkpoint.from_directory(checkpoint_dir),
            )
        step += 1


scheduler = PopulationBasedTraining(
    time_attr="training_iteration",
    perturbation_interval=2,
    metric="mean_accuracy",
    mode="max",
    quantile_fraction=0.5,
    hyperparam_mutations={
        "model": {"lr": tune.uniform(0.0001, 1)},
        "momentum": [0.8, 0.9, 0.99],
    },
)
tuner = tune.Tuner(
    train_fn,
    tune_config=tune.TuneConfig(scheduler=scheduler, num_samples=2),
    run_config=tune.RunConfig(stop={"training_iteration": 6}),
    param_space={"model": {"lr": tune.uniform(0.001, 1)}},
)
results = tuner.fit()
best = results.get_best_result(metric="mean_accuracy", mode="max")
