"""The job of `benchmarks/faults.py`: epochs of half a second, each recorded when it begins.

So a repeated epoch is counted, whatever the journal contains.
"""

import time
from pathlib import Path
from typing import Any

from ray import tune

from search_spaces.searchers.random_search import RandomSearch
from search_spaces.spaces import LR_BATCH
from tune_cluster import Options, TuneConfig, Tuner, main

SECONDS = 0.5
"""Seconds of an epoch."""

BEGUN = "begun"
"""File in the job's folder with a line for each epoch that has begun."""


def counted(begun: Path) -> type[tune.Trainable]:
    """Return a trainable that writes to `begun`; made in a function, so that it is sent by
    value."""

    class Counted(tune.Trainable):
        takes_seed = True
        reuse_actors = True

        def setup(self, config: dict[str, Any]) -> None:
            self.config, self.epoch = config, 0

        def reset_config(self, new_config: dict[str, Any]) -> bool:
            self.setup(new_config)
            return True

        def step(self) -> dict[str, Any]:
            with begun.open("a") as file:
                file.write(f"{self.config['seed']} {self.epoch + 1}\n")
            time.sleep(SECONDS)
            self.epoch += 1
            return {"epoch": self.epoch, "val_accuracy": 0.5}

        def save_checkpoint(self, checkpoint_dir: str) -> None:
            Path(checkpoint_dir, "epoch").write_text(str(self.epoch))

        def load_checkpoint(self, checkpoint_dir: str) -> None:
            self.epoch = int(Path(checkpoint_dir, "epoch").read_text())

    return Counted


def job(options: Options) -> Tuner:
    """Do trials last?"""
    # Not in the study, whose storage may be away.
    return Tuner(
        counted(Path(BEGUN).absolute()),
        tune_config=TuneConfig(
            metric="val_accuracy", mode="max", search_alg=RandomSearch(LR_BATCH, seed=options.seed)
        ),
    )


if __name__ == "__main__":
    main(job)
