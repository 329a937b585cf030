"""A study of ours whose trials do nothing, for `scaling.py`."""

from typing import Any

from ray import tune

from search_spaces.searchers.random_search import RandomSearch
from search_spaces.spaces import LR_BATCH
from tune_cluster.execution.launch import launch
from tune_cluster.execution.ray_tune.study import Study


class Nothing(tune.Trainable):
    """Reports four epochs."""

    reuse_actors = True

    def setup(self, config: dict[str, Any]) -> None:
        """Begin."""
        self.epoch = 0

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Begin again."""
        self.epoch = 0
        return True

    def step(self) -> dict[str, Any]:
        """One epoch of nothing."""
        self.epoch += 1
        return {"epoch": self.epoch, "val_accuracy": 0.5, "done": self.epoch == 4}


def job(study: Study) -> tune.Tuner:
    """How much does a result cost?"""
    return tune.Tuner(
        study.trainable(Nothing),
        tune_config=study.tune_config(RandomSearch(LR_BATCH, seed=study.flags.seed)),
        run_config=study.run_config(),
    )


if __name__ == "__main__":
    launch(job, metric="val_accuracy", mode="max")
