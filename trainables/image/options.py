"""What a job of images can be given: data, network, a preset, weights of an earlier study."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import tyro

from trainables.data.datasets import DATASETS, DEFAULT_DATASET, FALLBACK_DATASET, load_dataset
from trainables.data.splits import Dataset, SearchData
from trainables.image.config import ImageConfig
from trainables.image.models import build_model
from trainables.training.state import STATE_FILE, load_pretrained

DEFAULT_MODEL = "mlp"
"""Where nobody says which: an epoch in a second."""


@dataclass(frozen=True, kw_only=True)
class DataFlags:
    """Which images a study is of."""

    resumable: ClassVar[tuple[str, ...]] = ("dataset", "data_dir")
    """What `--resume` lets change: the content must be the same, and is compared."""
    dataset: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="NAME",
            help=f"{', '.join(DATASETS)}, or the path of your own: an .npz file with x and y, or a "
            f"folder of images by class. Without it {DEFAULT_DATASET}, and {FALLBACK_DATASET} "
            "where that cannot be had.",
        ),
    ] = None

    data_dir: Path = Path("data")
    """Where datasets are kept."""

    def load(self, *, seed: int, smoke_test: bool = False, train_ratio: float = 0.8) -> Dataset:
        """Load and split the dataset; a smoke test takes digits unless another is given.

        Raises:
            ValueError: as `load_dataset`.
        """
        name = self.dataset or (FALLBACK_DATASET if smoke_test else None)
        return load_dataset(name, self.data_dir, seed=seed, train_ratio=train_ratio)


@dataclass(frozen=True, kw_only=True)
class ImageFlags(DataFlags):
    """Which images, and which network."""

    model: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """mlp, cnn, resnet or linear. Without it mlp, or what the job searches."""


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
"""Chosen on validation data alone; each trains for at most 40 minutes on two cores."""


def config_of(preset: PresetName) -> dict[str, Any]:
    """What of a preset differs from the defaults, without its seed: what a search space fixes."""
    found, default = asdict(PRESETS[preset]), asdict(ImageConfig())
    # Their defaults depend on others.
    kept = ("model", "norm", "learning_rate")
    return {n: v for n, v in found.items() if n in kept or (v != default[n] and n != "seed")}


NETWORK = ("model", "hidden_sizes", "channels", "depth", "kernel_size", "activation", "norm")

BEST_FILE = "best.json"


def fixed_by(weights: Path, data: SearchData) -> dict[str, Any]:
    """The hyperparameters of the network that `weights` are of, and `pretrained`.

    Args:
        weights: a state dict, or a checkpoint of ours. A `best.json` beside it, as in a study's
            `best`, says what network it is; without that it is the default one.

    Raises:
        ValueError: the weights cannot be had, or do not fit that network or the data.
    """
    best = (weights if weights.is_dir() else weights.parent) / BEST_FILE
    config = _config_in(best) if best.is_file() else {}
    fixed = {name: config[name] for name in NETWORK if name in config}
    fixed["pretrained"] = str(weights.absolute())
    model = build_model(ImageConfig.from_dict(fixed), data.image_shape, data.classes)
    load_pretrained(model, fixed["pretrained"])
    return fixed


def fingerprint_of(weights: Path) -> str:
    """The path, with twelve hexadecimal digits of a hash over the file."""
    file = weights / STATE_FILE if weights.is_dir() else weights
    return f"{file} {hashlib.sha256(file.read_bytes()).hexdigest()[:12]}"


def _config_in(file: Path) -> dict[str, Any]:
    try:
        config = json.loads(file.read_bytes())["config"]
        # What was a tuple is a list in JSON.
        return {n: tuple(v) if isinstance(v, list) else v for n, v in config.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(
            f"--pretrained: {file} does not say what network the weights are of "
            f"({type(error).__name__}: {error})"
        ) from None
