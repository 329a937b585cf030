"""A trainable of one's own with a cross-validation, whose best trials become an ensemble.

python examples/own_folds.py --trials 8 --max-epochs 5 --name folds
tune-cluster evaluate results/folds --top 5
"""

from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch.nn import functional as F

import tune_cluster as tune
from search_spaces.catalogue import LEARNING_RATE
from search_spaces.searchers.random_search import RandomSearch
from search_spaces.space import Space
from trainables.data.arrays import Array
from trainables.data.dataset import Part
from trainables.data.splits import prepared, with_test_set

FOLDS = 5
FILE = "models.pt"


class Linear(tune.Trainable):
    """A linear model for each fold; a step is an epoch of all of them."""

    def setup(self, config, data=None):
        """Prepare a trial."""
        self.folds = [data.fold(index, FOLDS) for index in range(FOLDS)]
        self.models = [torch.nn.Linear(64, 10) for _ in self.folds]
        rate = config["learning_rate"]
        self.optimizers = [torch.optim.Adam(m.parameters(), lr=rate) for m in self.models]

    def step(self):
        """Train an epoch of each fold."""
        losses = []
        for (train, held_out), model, optimizer in zip(
            self.folds, self.models, self.optimizers, strict=True
        ):
            for rows in torch.randperm(len(train.targets)).split(64):
                inputs = torch.from_numpy(train.inputs.values[rows])
                loss = F.cross_entropy(model(inputs), torch.from_numpy(train.targets[rows]))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            right = probabilities(model, held_out)[
                np.arange(len(held_out.targets)), held_out.targets
            ]
            losses.append(-np.log(right).mean())
        return {"val_loss": float(np.mean(losses))}

    def save_checkpoint(self, checkpoint_dir):
        """Write all models with their optimizers."""
        parts = [*self.models, *self.optimizers]
        torch.save([part.state_dict() for part in parts], Path(checkpoint_dir, FILE))

    def load_checkpoint(self, checkpoint_dir):
        """Resume from a checkpoint."""
        states = torch.load(Path(checkpoint_dir, FILE))
        for part, state in zip([*self.models, *self.optimizers], states, strict=True):
            part.load_state_dict(state)

    @staticmethod
    def predict(config, checkpoint_dir, dataset, part):
        """Return what a checkpoint predicts for the "validation" or the "test" part."""
        models = [torch.nn.Linear(64, 10) for _ in range(FOLDS)]
        states = torch.load(Path(checkpoint_dir, FILE))
        for model, state in zip(models, states[:FOLDS], strict=True):
            model.load_state_dict(state)
        if part == "test":
            targets = dataset.test.targets
            predicted = np.mean([probabilities(model, dataset.test) for model in models], axis=0)
        else:
            # The validation parts of the folds, one after the other, are all samples.
            targets = dataset.search.targets
            held_out = [dataset.search.fold(index, FOLDS)[1] for index in range(FOLDS)]
            predicted = np.concatenate(list(map(probabilities, models, held_out)))
        return {"rows": np.arange(len(targets)), "targets": targets, "predicted": predicted}


def probabilities(model, part):
    """Return the probability of each class for each sample of a part."""
    with torch.inference_mode():
        return model(torch.from_numpy(part.inputs.values)).double().softmax(dim=1).numpy()


def job(options: tune.Options) -> tune.Tuner:
    """Which learning rate suits a linear model of digits, by a cross-validation?"""
    digits = load_digits()
    whole = Part(Array((digits.data / 16).astype(np.float32)), digits.target.astype(np.int64))
    raw = with_test_set(whole, class_names=tuple("0123456789"), source="scikit-learn")
    return tune.Tuner(
        Linear,
        tune_config=tune.TuneConfig(
            metric="val_loss",
            mode="min",
            search_alg=RandomSearch(Space("own", (LEARNING_RATE,)), seed=options.seed),
        ),
        dataset=prepared("digits", raw, seed=options.seed, train_ratio=0.8),
    )


if __name__ == "__main__":
    tune.main(job)
