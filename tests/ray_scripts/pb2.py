"""As in Ray's "PB2 Example": all members begin with one learning rate."""

import os

from ray import tune
from ray.tune.schedulers.pb2 import PB2


class Benchmark(tune.Trainable):
    def setup(self, config):
        self.lr = config["lr"]
        self.accuracy = 0.0

    def step(self):
        midpoint = 0.01
        self.accuracy += 0.01 - abs(self.lr - midpoint) / 10 + self.iteration / 10_000
        return {"mean_accuracy": self.accuracy, "cur_lr": self.lr}

    def save_checkpoint(self, checkpoint_dir):
        with open(os.path.join(checkpoint_dir, "accuracy"), "w") as f:
            f.write(repr(self.accuracy))

    def load_checkpoint(self, checkpoint_dir):
        with open(os.path.join(checkpoint_dir, "accuracy")) as f:
            self.accuracy = float(f.read())

    def reset_config(self, new_config):
        self.setup(new_config)
        return True


pbt = PB2(
    time_attr="training_iteration",
    perturbation_interval=2,
    quantile_fraction=0.5,
    hyperparam_bounds={"lr": [0.0001, 0.02]},
)
tuner = tune.Tuner(
    Benchmark,
    run_config=tune.RunConfig(name="pb2_test", stop={"training_iteration": 10}),
    tune_config=tune.TuneConfig(
        scheduler=pbt, metric="mean_accuracy", mode="max", num_samples=2, reuse_actors=True
    ),
    param_space={"lr": tune.uniform(0.0001, 0.02)},
)
results = tuner.fit()
best = results.get_best_result()
