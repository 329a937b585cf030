"""A script of Ray Tune's documentation with its import line changed.

Run it by `python examples/ray_tune_script.py`. In plain Ray Tune, `import tune_cluster as tune` is
`from ray import tune`.
"""

import json
import tempfile
from pathlib import Path

from ray.tune.logger import CSVLoggerCallback
from ray.tune.schedulers import ASHAScheduler

import tune_cluster as tune


def train(config):
    """Descend on a parabola, from where the checkpoint is."""
    step, x = 0, 10.0
    checkpoint = tune.get_checkpoint()
    if checkpoint:
        with checkpoint.as_directory() as folder:
            step, x = json.loads(Path(folder, "state.json").read_text())
    while step < config["steps"]:
        step, x = step + 1, x - config["optimizer"]["lr"] * 2 * (x - 1.0)
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "state.json").write_text(json.dumps([step, x]))
            tune.report({"loss": (x - 1.0) ** 2}, checkpoint=tune.Checkpoint.from_directory(folder))


def main():
    """Search the learning rate and the optimizer."""
    tuner = tune.Tuner(
        tune.with_resources(train, {"cpu": 1}),
        param_space={
            "optimizer": {"lr": tune.loguniform(1e-3, 0.9), "name": tune.choice(["sgd", "adam"])},
            "steps": 8,
        },
        tune_config=tune.TuneConfig(
            metric="loss",
            mode="min",
            num_samples=6,
            scheduler=ASHAScheduler(max_t=8, grace_period=1, reduction_factor=2),
        ),
        run_config=tune.RunConfig(
            stop=lambda trial_id, result: result["loss"] < 1e-6,
            checkpoint_config=tune.CheckpointConfig(num_to_keep=2),
            callbacks=[CSVLoggerCallback()],
        ),
    )
    results = tuner.fit()
    best = results.get_best_result()
    print("Best configuration:", best.config)
    with best.checkpoint.as_directory() as folder:
        print("Best checkpoint:", Path(folder, "state.json").read_text())
    print(results.get_dataframe()[["trial", "status", "loss", "config/optimizer/lr"]])


if __name__ == "__main__":
    main()
