"""The study with Ray Tune as in its documentation: function, DataLoader, ASHAScheduler."""

from typing import Any

import ray
import torch
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.basic_variant import BasicVariantGenerator
from torch import nn
from torch.utils.data import DataLoader, random_split
from torchvision import datasets, transforms
from work import (
    BATCH_SIZES,
    DATA,
    GRACE_PERIOD,
    LEARNING_RATES,
    REDUCTION_FACTOR,
    TRAIN_RATIO,
    WORKERS,
    arguments,
    points,
    tell,
)


def train(config: dict[str, Any]) -> None:
    """Run one trial."""
    torch.manual_seed(config["seed"])
    transform = transforms.Compose(
        [transforms.ToTensor(), transforms.Normalize((0.2860,), (0.3530,))]
    )
    dataset = datasets.FashionMNIST(config["data_dir"], train=True, transform=transform)
    ratio = config["train_ratio"]
    # A generator of its own gives all trials the same split.
    generator = torch.Generator().manual_seed(config["seed"])
    train_set, validation_set = random_split(dataset, [ratio, 1 - ratio], generator)
    train_loader = DataLoader(train_set, batch_size=config["batch_size"], shuffle=True)
    validation_loader = DataLoader(validation_set, batch_size=config["batch_size"])

    model = nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 512),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.Linear(512, 256),
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.Linear(256, 10),
    )
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=config["learning_rate"], momentum=0.9)
    for _ in range(config["epochs"]):
        model.train()
        for inputs, labels in train_loader:
            optimizer.zero_grad()
            loss = criterion(model(inputs), labels)
            loss.backward()
            optimizer.step()
        model.eval()
        correct = 0
        with torch.no_grad():
            for inputs, labels in validation_loader:
                correct += (model(inputs).argmax(dim=1) == labels).sum().item()
        # For a network that diverged this is the share of the first class, and no NaN.
        tune.report({"val_accuracy": correct / len(validation_set)})


def main() -> None:
    """Tune, and report the result."""
    options = arguments()
    ray.init(address="local", num_cpus=WORKERS, include_dashboard=False)
    tuner = tune.Tuner(
        tune.with_resources(train, {"cpu": 1}),
        param_space={
            "learning_rate": tune.loguniform(*LEARNING_RATES),
            "batch_size": tune.choice(list(BATCH_SIZES)),
            "epochs": options.epochs,
            "train_ratio": TRAIN_RATIO,
            "seed": options.seed,
            "data_dir": str(DATA),
        },
        tune_config=tune.TuneConfig(
            metric="val_accuracy",
            mode="max",
            num_samples=options.trials,
            search_alg=BasicVariantGenerator(points_to_evaluate=points(options.folder)),
            scheduler=ASHAScheduler(
                max_t=options.epochs,
                grace_period=GRACE_PERIOD,
                reduction_factor=REDUCTION_FACTOR,
            ),
        ),
        run_config=tune.RunConfig(name="study", storage_path=str(options.folder)),
    )
    results = tuner.fit()
    if results.errors:
        raise RuntimeError(f"{len(results.errors)} trials failed")
    tell(options.folder, [list(result.metrics_dataframe["val_accuracy"]) for result in results])
    ray.shutdown()


if __name__ == "__main__":
    main()
