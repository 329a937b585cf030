"""As in Ray's "Running Tune experiments with Optuna"."""

from ray import tune
from ray.tune.search.optuna import OptunaSearch


def objective(config):
    for step in range(3):
        tune.report({"iterations": step, "mean_loss": config["height"] ** 2 + 1 / (step + 1)})


tuner = tune.Tuner(
    objective,
    tune_config=tune.TuneConfig(
        metric="mean_loss",
        mode="min",
        search_alg=OptunaSearch(seed=3),
        num_samples=4,
    ),
    run_config=tune.RunConfig(stop={"training_iteration": 2}, name="optuna_exp"),
    param_space={"height": tune.uniform(-10, 10), "activation": tune.choice(["relu", "tanh"])},
)
results = tuner.fit()
best = results.get_best_result()
