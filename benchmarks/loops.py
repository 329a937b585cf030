"""Loops that `training_throughput.py` and `gpu.py` time: each trains an epoch and returns its
samples per second."""

import time
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Subset
from torchvision import datasets, transforms

from trainables.data.dataset import SearchData
from trainables.image.config import ImageConfig
from trainables.image.images import Images
from trainables.image.models import build_model
from trainables.image.task import ImageData, standardisation
from trainables.training.loop import fit

DATA = Path(__file__).parents[1] / "data"

# The DataLoader's epoch is the longest; its speed does not depend on the number of images.
DATALOADER_IMAGES = 1_920


def ours(config: ImageConfig, data: SearchData[Images], device: str = "cpu") -> float:
    """Measure the project's loop, by the metric that it reports."""
    metrics, _ = next(fit(config, ImageData(data, device)))
    return float(metrics["samples_per_second"])


def bare(config: ImageConfig, data: SearchData[Images], device: str = "cpu") -> float:
    """Measure the shortest loop over the same tensors: no metrics, no state, no checks."""
    return _bare(config, data, torch.channels_last, device)


def plain(config: ImageConfig, data: SearchData[Images]) -> float:
    """Measure the shortest loop in the default memory format."""
    return _bare(config, data, torch.contiguous_format, "cpu")


def _bare(
    config: ImageConfig, data: SearchData[Images], layout: torch.memory_format, device: str
) -> float:
    dense = config.model == "mlp"
    layout = torch.contiguous_format if dense else layout
    images = torch.from_numpy(data.train.inputs.pixels).to(device)
    labels = torch.from_numpy(data.train.targets).to(device)
    images = images.flatten(1) if dense else images
    found = standardisation(data, [range(len(labels))], config.min_std)
    mean, std = (255 * x.to(device) for x in found)
    model = build_model(config, data.inputs.shape, data.classes).to(device, memory_format=layout)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=config.learning_rate, momentum=config.momentum, fused=True
    )
    autocast = config.precision == "bfloat16"
    began = time.perf_counter()
    for batch in torch.randperm(len(labels), device=device).split(config.batch_size):
        inputs = images[batch].to(torch.float32, memory_format=layout).sub_(mean).div_(std)
        with torch.autocast(device, dtype=torch.bfloat16, enabled=autocast):
            loss = F.cross_entropy(model(inputs), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    if device == "cuda":
        torch.cuda.synchronize()
    return len(labels) / (time.perf_counter() - began)


def dataloader(config: ImageConfig, data: SearchData[Images]) -> float:
    """Measure the loop of the tutorials: PIL images, ToTensor, Normalize, a DataLoader."""
    transform = transforms.Compose(
        [transforms.ToTensor(), transforms.Normalize((0.2860,), (0.3530,))]
    )
    dataset = datasets.FashionMNIST(DATA, train=True, transform=transform)
    subset = Subset(dataset, range(DATALOADER_IMAGES))
    loader = DataLoader(subset, batch_size=config.batch_size, shuffle=True)
    model = tutorial_model(config, data)
    optimizer = torch.optim.SGD(
        model.parameters(), lr=config.learning_rate, momentum=config.momentum
    )
    criterion = nn.CrossEntropyLoss()
    autocast = config.precision == "bfloat16"
    began = time.perf_counter()
    for inputs, labels in loader:
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            loss = criterion(model(inputs), labels)
        loss.backward()
        optimizer.step()
    return DATALOADER_IMAGES / (time.perf_counter() - began)


def tutorial_model(config: ImageConfig, data: SearchData[Images]) -> nn.Module:
    """Build the same network with PyTorch's own dropout."""
    model = build_model(config, data.inputs.shape, data.classes)
    layers = [nn.Dropout(x.p) if isinstance(x, nn.Dropout) else x for x in model.children()]
    return nn.Sequential(*layers)
