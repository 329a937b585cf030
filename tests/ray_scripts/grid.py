"""As in Ray's "Working with Tune Search Spaces": each point of the grid with random values."""

from ray import tune
from ray.tune.search.basic_variant import BasicVariantGenerator


def train_fn(config):
    tune.report({"score": config["alpha"] + config["beta"]})


tuner = tune.Tuner(
    train_fn,
    param_space={"alpha": tune.grid_search([0.0, 1.0]), "beta": tune.uniform(0, 1)},
    tune_config=tune.TuneConfig(
        metric="score", mode="max", num_samples=2, search_alg=BasicVariantGenerator()
    ),
)
results = tuner.fit()
best = results.get_best_result(metric="score", mode="max")
