"""As in Ray's documentation of the median stopping rule."""

from ray import tune
from ray.tune.schedulers import MedianStoppingRule


def objective(config):
    for step in range(6):
        tune.report({"score": config["quality"] + step / 100})


tuner = tune.Tuner(
    objective,
    tune_config=tune.TuneConfig(
        metric="score",
        mode="max",
        num_samples=6,
        scheduler=MedianStoppingRule(
            time_attr="training_iteration", grace_period=2, min_samples_required=2
        ),
    ),
    param_space={"quality": tune.uniform(0, 1)},
)
results = tuner.fit()
best = results.get_best_result()
