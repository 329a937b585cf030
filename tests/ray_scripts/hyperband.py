"""As in Ray's "HyperBand Example": trials are paused, and go on from their checkpoints."""

import os
import time

from ray import tune
from ray.tune.schedulers import HyperBandScheduler


class MyTrainableClass(tune.Trainable):
    def setup(self, config):
        self.timestep = 0

    def reset_config(self, new_config):
        self.config = new_config
        self.timestep = 0
        return True

    def step(self):
        time.sleep(0.5)
        self.timestep += 1
        return {"episode_reward_mean": self.config["width"] * self.timestep, "at": self.timestep}

    def save_checkpoint(self, checkpoint_dir):
        with open(os.path.join(checkpoint_dir, "timestep"), "w") as f:
            f.write(str(self.timestep))

    def load_checkpoint(self, checkpoint_dir):
        with open(os.path.join(checkpoint_dir, "timestep")) as f:
            self.timestep = int(f.read())


hyperband = HyperBandScheduler(time_attr="training_iteration", max_t=4, reduction_factor=2)
tuner = tune.Tuner(
    MyTrainableClass,
    run_config=tune.RunConfig(name="hyperband_test", stop={"training_iteration": 4}),
    tune_config=tune.TuneConfig(
        num_samples=6,
        metric="episode_reward_mean",
        mode="max",
        scheduler=hyperband,
        reuse_actors=True,
    ),
    param_space={"width": tune.randint(10, 90), "height": tune.randint(0, 100)},
)
results = tuner.fit()
best = results.get_best_result()
