"""As in Ray's "Getting Started with Ray Tune": the metric is the scheduler's."""

import os

from ray import tune
from ray.tune.schedulers import ASHAScheduler


class MyTrainable(tune.Trainable):
    def setup(self, config):
        self.score = 0.0
        self.lr = config["optimizer"]["lr"]

    def step(self):
        self.score += self.lr
        return {"mean_accuracy": self.score}

    def save_checkpoint(self, checkpoint_dir):
        with open(os.path.join(checkpoint_dir, "score"), "w") as f:
            f.write(str(self.score))

    def load_checkpoint(self, checkpoint_dir):
        with open(os.path.join(checkpoint_dir, "score")) as f:
            self.score = float(f.read())


search_space = {
    "optimizer": {"lr": tune.loguniform(1e-3, 1e-1), "name": "sgd"},
    "width": tune.choice([8, 16]),
    "depth": tune.randint(1, 4),
}
tuner = tune.Tuner(
    MyTrainable,
    param_space=search_space,
    tune_config=tune.TuneConfig(
        num_samples=5,
        scheduler=ASHAScheduler(metric="mean_accuracy", mode="max", max_t=8, reduction_factor=2),
    ),
)
results = tuner.fit()
best = results.get_best_result("mean_accuracy", mode="max")
