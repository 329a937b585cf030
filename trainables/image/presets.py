"""Configurations for Fashion-MNIST that studies of this project have found: docs/presets.md."""

from dataclasses import asdict
from typing import Any, Literal, TypeAlias

from trainables.image.config import ImageConfig

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
    told, default = asdict(PRESETS[preset]), asdict(ImageConfig())
    # Their defaults depend on others.
    kept = ("model", "norm", "learning_rate")
    return {n: v for n, v in told.items() if n in kept or (v != default[n] and n != "seed")}
