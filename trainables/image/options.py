"""Options of image jobs: data, network, presets, and weights of an earlier study."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import tyro

from trainables.data.dataset import Dataset, SearchData
from trainables.image.config import ImageConfig
from trainables.image.datasets import (
    DATASETS,
    DEFAULT_DATASET,
    FALLBACK_DATASET,
    load_dataset,
)
from trainables.image.images import Images
from trainables.image.models import build_model
from trainables.image.own_images import Kind
from trainables.training.state import STATE_FILE, load_pretrained

DEFAULT_MODEL = "mlp"
"""Model of the jobs if the user gives none: an epoch takes a second."""


@dataclass(frozen=True, kw_only=True)
class DataFlags:
    """Command-line flags for the images of a study."""

    resumable: ClassVar[tuple[str, ...]] = ("dataset", "data_dir")
    """Flags that may change in a resume: the content must be equal, which is checked."""
    taken_for: ClassVar[Mapping[str, str]] = {"target": "targets"}
    """For a flag of all studies, the flag that a person may mean by it."""
    dataset: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="NAME",
            help=f"{', '.join(DATASETS)}, or the path of your own: an .npz file with x and y, or a "
            f"folder of images by class. Default: {DEFAULT_DATASET}, or {FALLBACK_DATASET} if "
            "that is not available.",
        ),
    ] = None

    targets: Kind | None = None
    """Whether y of an .npz file has classes or numbers to be predicted. Default: numbers if most of
    them are not whole."""

    data_dir: Path = Path("data")
    """Folder of the datasets."""

    def load(
        self, *, seed: int, smoke_test: bool = False, train_ratio: float = 0.8
    ) -> Dataset[Images]:
        """Load and split the dataset; a smoke test uses digits unless a dataset is given.

        Raises:
            ValueError: as `load_dataset`.
        """
        name = self.dataset or (FALLBACK_DATASET if smoke_test else None)
        return load_dataset(
            name, self.data_dir, seed=seed, train_ratio=train_ratio, targets=self.targets
        )


def read(images: DataFlags, *, seed: int = 0) -> Dataset[Images]:
    """Load and split a dataset of images.

    Args:
        images: flags of the data.
        seed: seed of the split.
    """
    return images.load(seed=seed)


@dataclass(frozen=True, kw_only=True)
class ImageFlags(DataFlags):
    """Command-line flags for the images and the network of a study."""

    model: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """mlp, cnn, resnet or linear. Default: mlp, or searched by the job."""


PresetName: TypeAlias = Literal["mlp", "cnn"]

PRESETS: dict[PresetName, ImageConfig] = {
    "mlp": ImageConfig(
        model="mlp",
        hidden_sizes=(1024, 512),
        activation="gelu",
        optimizer="adamw",
        learning_rate=7e-4,
        weight_decay=6e-5,
        batch_size=128,
        epochs=36,
        schedule="cosine",
        epochs_warmup=0.4,
        dropout=0.35,
        label_smoothing=0.11,
        ema_decay=0.9999,
        patience=0,
        train_ratio=0.95,
        precision="bfloat16",
    ),
    "cnn": ImageConfig(
        model="cnn",
        channels=(32, 64, 128),
        depth=2,
        optimizer="sgd",
        nesterov=True,
        learning_rate=0.3,
        weight_decay=6e-5,
        batch_size=128,
        epochs=30,
        schedule="cosine",
        epochs_warmup=1,
        dropout=0.15,
        label_smoothing=0.19,
        augmentation="erasing",
        patience=0,
        train_ratio=0.95,
        precision="bfloat16",
    ),
}
"""Configurations chosen by validation data alone; each trains for at most 40 minutes on two
cores."""


def config_of(preset: PresetName) -> dict[str, Any]:
    """Return the values of a preset that differ from the defaults, without its seed, to fix them in
    a search space."""
    found, default = asdict(PRESETS[preset]), asdict(ImageConfig())
    # The defaults of these depend on other values.
    kept = ("model", "norm", "learning_rate")
    return {n: v for n, v in found.items() if n in kept or (v != default[n] and n != "seed")}


NETWORK = ("model", "hidden_sizes", "channels", "depth", "kernel_size", "activation", "norm")

BEST_FILE = "best.json"


def fixed_by(weights: Path, data: SearchData[Images]) -> dict[str, Any]:
    """Return the hyperparameters of the network that has these `weights`, and `pretrained`.

    Args:
        weights: a state dict, or one of our checkpoints. A `best.json` beside it, as in a study's
            `best` folder, describes the network; without one the default network is assumed.
        data: images that the network is to be trained on.

    Raises:
        ValueError: the weights cannot be read, or do not fit that network or the data.
    """
    best = (weights if weights.is_dir() else weights.parent) / BEST_FILE
    config = _config_in(best) if best.is_file() else {}
    fixed = {name: config[name] for name in NETWORK if name in config}
    fixed["pretrained"] = str(weights.absolute())
    model = build_model(ImageConfig.from_dict(fixed), data.inputs.shape, data.classes or 1)
    load_pretrained(model, fixed["pretrained"])
    return fixed


def fingerprint_of(weights: Path) -> str:
    """Return the path, with twelve hexadecimal digits of a hash over the file."""
    file = weights / STATE_FILE if weights.is_dir() else weights
    return f"{file} {hashlib.sha256(file.read_bytes()).hexdigest()[:12]}"


def _config_in(file: Path) -> dict[str, Any]:
    try:
        config = json.loads(file.read_bytes())["config"]
        # JSON has stored tuples as lists.
        return {n: tuple(v) if isinstance(v, list) else v for n, v in config.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(
            f"--pretrained: {file} does not describe the network of the weights "
            f"({type(error).__name__}: {error}); give a study's best folder, or a state dict alone"
        ) from None
