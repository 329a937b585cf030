"""A callback of one's own: each new best trial is a line in a file, and could be a message.

python examples/own_callback.py
"""

from pathlib import Path

import tune_cluster as tune


class NewBest(tune.Callback):
    """Appends a line for each new best value of a study."""

    def __init__(self, file):
        self.file, self.best = Path(file), None

    def on_event(self, event, state, replay):
        """Look at the best trial after each event, of this session and of earlier ones."""
        if state.best is not None and state.best[2] != self.best:
            trial, epoch, self.best = state.best
            if not replay:
                with self.file.open("a") as lines:
                    lines.write(f"trial {trial.index}, epoch {epoch}: {self.best} {trial.config}\n")


def train(config):
    """Go down a parabola."""
    x = 1.0
    for _ in range(9):
        x -= config["learning_rate"] * 2 * x
        tune.report({"val_loss": x**2})


if __name__ == "__main__":
    tuner = tune.Tuner(
        train,
        param_space={"learning_rate": tune.loguniform(0.001, 1)},
        tune_config=tune.TuneConfig(metric="val_loss", mode="min", num_samples=8),
        run_config=tune.RunConfig(callbacks=[NewBest("new_best.txt")]),
    )
    print(tuner.fit().get_best_result().config)
