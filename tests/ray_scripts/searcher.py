"""As in Ray's documentation of `Searcher`: one of a person's own."""

from ray import tune
from ray.tune.search import Searcher


class ExampleSearch(Searcher):
    def __init__(self, metric="mean_loss", mode="min"):
        super().__init__(metric=metric, mode=mode)
        self.told = {}
        self.next = 0.0

    def set_search_properties(self, metric, mode, config, **spec):
        return True

    def suggest(self, trial_id):
        self.next += 0.25
        return {"width": self.next, "activation": "relu"}

    def on_trial_complete(self, trial_id, result=None, error=False, **kwargs):
        if result:
            self.told[trial_id] = result[self.metric]


def trainable_function(config):
    if config["width"] == 0.5:
        raise RuntimeError("exploded")
    tune.report({"mean_loss": (config["width"] - 0.7) ** 2})


search = ExampleSearch()
tuner = tune.Tuner(
    trainable_function,
    tune_config=tune.TuneConfig(search_alg=search, num_samples=4),
    param_space={"width": tune.uniform(0, 1), "activation": "relu"},
)
results = tuner.fit()
best = results.get_best_result()
