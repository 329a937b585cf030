"""As in Ray's "Running Tune experiments with HyperOpt"."""

from ray import tune
from ray.tune.search import ConcurrencyLimiter
from ray.tune.search.hyperopt import HyperOptSearch


def evaluate(step, width, height):
    return (0.1 + width * step / 100) ** (-1) + height * 0.1


def objective(config):
    for step in range(config["steps"]):
        score = evaluate(step, config["width"], config["height"])
        tune.report({"iterations": step, "mean_loss": score})


initial_params = [{"width": 1, "height": 2}]
algo = HyperOptSearch(points_to_evaluate=initial_params)
algo = ConcurrencyLimiter(algo, max_concurrent=2)
search_config = {"steps": 3, "width": tune.uniform(0, 20), "height": tune.quniform(-10, 10, 2)}
tuner = tune.Tuner(
    objective,
    tune_config=tune.TuneConfig(metric="mean_loss", mode="min", search_alg=algo, num_samples=4),
    param_space=search_config,
)
results = tuner.fit()
best = results.get_best_result()
