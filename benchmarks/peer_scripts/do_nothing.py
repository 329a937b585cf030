"""A study of ours whose trials do nothing, for `scaling.py`."""

from typing import Any

from ray import tune

from search_spaces.searchers.random_search import RandomSearch
from search_spaces.spaces import LR_BATCH
from tune_cluster import Options, TuneConfig, Tuner, main


class Nothing(tune.Trainable):
    """Reports four epochs."""

    reuse_actors = True

    def setup(self, config: dict[str, Any]) -> None:
        """Begin."""
        self.epoch = 0

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Start over."""
        self.epoch = 0
        return True

    def step(self) -> dict[str, Any]:
        """Do nothing for an epoch."""
        self.epoch += 1
        return {"epoch": self.epoch, "val_accuracy": 0.5, "done": self.epoch == 4}


def job(options: Options) -> Tuner:
    """How much does a result cost?"""
    search_alg = RandomSearch(LR_BATCH, seed=options.seed)
    return Tuner(
        Nothing,
        tune_config=TuneConfig(metric="val_accuracy", mode="max", search_alg=search_alg),
    )


if __name__ == "__main__":
    main(job)
