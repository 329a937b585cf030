"""A Lightning script, with the four lines that let it be tuned:

    tune-cluster run examples/lightning_script.py --search lr=log:0.001:1 \\
        --search width=16,32,64 --metric val_loss -- --epochs 9

`python examples/lightning_script.py --lr 0.1` trains it alone, as before.
"""

import argparse

import lightning as L
import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split

import tune_cluster as tc
from tune_cluster.integrations.lightning import TuneCallback


class Digits(L.LightningModule):
    """A small network for handwritten digits, 8x8 pixels."""

    def __init__(self, lr: float, width: int) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.layers = nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))

    def training_step(self, batch: list[torch.Tensor], _: int) -> torch.Tensor:
        """Return the loss of a batch."""
        return nn.functional.cross_entropy(self.layers(batch[0]), batch[1])

    def validation_step(self, batch: list[torch.Tensor], _: int) -> None:
        """Log loss and accuracy."""
        outputs = self.layers(batch[0])
        self.log("val_loss", nn.functional.cross_entropy(outputs, batch[1]))
        self.log("val_accuracy", (outputs.argmax(1) == batch[1]).float().mean())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimizer."""
        return torch.optim.SGD(self.parameters(), lr=self.hparams["lr"], momentum=0.9)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--width", type=int, default=32)
    args = tc.arguments(parser)
    L.seed_everything(1)

    images, labels = load_digits(return_X_y=True)
    data = TensorDataset(torch.tensor(images / 16, dtype=torch.float32), torch.tensor(labels))
    train, val = random_split(data, [1400, len(data) - 1400])
    loaders = DataLoader(train, batch_size=32, shuffle=True), DataLoader(val, batch_size=len(val))

    callback = TuneCallback()
    trainer = L.Trainer(max_epochs=args.epochs, callbacks=[callback], logger=False)
    trainer.fit(Digits(args.lr, args.width), *loaders, ckpt_path=callback.ckpt_path)
