"""Predictions of a trained network for images.

    python predict.py a.png b.png     a line of JSON for each image
    python predict.py images.npy      images [n, height, width] or [n, height, width, channels]

    from predict import predict
    predict(["a.png", "b.png"])       or an array of images

Needs torch and numpy, and pillow for image files.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trainables.image.models import build_model, is_flat
from trainables.image.pictures import Pixels, as_array, pixels_of, read_picture
from trainables.image.standardisation import Standardisation
from trainables.prediction.exported import Exported, print_lines

FOLDER = Path(__file__).parent


def predict(
    images: Sequence[str | Path] | NDArray[Any], folder: Path | str = FOLDER
) -> NDArray[np.float64]:
    """Return the probability of each class, `[n, classes]`, or numbers, `[n]`.

    Args:
        images: paths of files, `.npy` or any that Pillow reads; or an array `[n, height, width]`,
            `[n, height, width, channels]` or `[n, channels, height, width]`, uint8 or between 0
            and 1.
        folder: folder of the export.

    Raises:
        ValueError: an image cannot be read, or is of another size.
    """
    network = network_of(Path(folder))
    if isinstance(images, np.ndarray):
        return network.predict(network.checked("images", images))
    return network.predict(np.concatenate([network.read(Path(file)) for file in images]))


class _Network:
    def __init__(self, folder: Path) -> None:
        self.exported = Exported(folder)
        config, inputs = self.exported.config, self.exported.inputs
        channels, height, width = inputs["shape"]
        self._shape = (channels, height, width)
        self._background = inputs["background"]
        self._flat, device = is_flat(config), self.exported.device
        self._each = []
        for weights, of_one in zip(self.exported.weights, inputs["networks"], strict=True):
            standardise = Standardisation(
                torch.tensor(of_one["mean"]),
                torch.tensor(of_one["std"]),
                self._shape,
                flat=self._flat,
                device=device,
            )
            model = build_model(config, self._shape, self.exported.width)
            model = model.to(memory_format=standardise.format)
            self._each.append((standardise, self.exported.with_weights(model, weights)))

    def predict(self, images: Pixels) -> NDArray[np.float64]:
        inputs = torch.from_numpy(images)
        inputs = inputs.flatten(1) if self._flat else inputs
        return self.exported.predicted(
            [
                self.exported.outputs(functools.partial(_forward, *network), inputs)
                for network in self._each
            ]
        )

    def read(self, file: Path) -> Pixels:
        """Return the images of a file, uint8 `[n, channels, height, width]`."""
        if file.suffix == ".npy":
            try:
                array = np.load(file, allow_pickle=False)
            except (EOFError, ValueError) as error:
                raise ValueError(f"{file}: cannot be read as .npy ({error})") from None
            return self.checked(str(file), array)
        try:
            picture = read_picture(file)
        except (FileNotFoundError, ModuleNotFoundError):
            raise
        # A damaged image raises many kinds of errors, SyntaxError among them.
        except Exception as error:
            raise ValueError(f"{file}: cannot be read as an image ({error})") from None
        return self.checked(str(file), as_array([picture], self._shape[0] == 3, self._background))

    def checked(self, name: str, images: NDArray[Any]) -> Pixels:
        if images.ndim not in (3, 4) or not images.size:
            raise ValueError(
                f"{name}: give images [n, height, width] with or without channels, got "
                f"{list(images.shape)}"
            )
        found = pixels_of(name, images)
        if found.shape[1:] != self._shape:
            raise ValueError(
                f"{name}: images are {list(found.shape[1:])} (channels, height, width), the "
                f"network takes {list(self._shape)}"
            )
        return found


def _forward(standardise: Standardisation, model: nn.Module, images: Tensor) -> Tensor:
    found: Tensor = model(standardise(images))
    return found


@functools.lru_cache(maxsize=1)
def network_of(folder: Path) -> _Network:
    """Return the networks of an export, which a process keeps."""
    return _Network(folder)


def main() -> None:
    """Print what is predicted for the images of the command line."""
    parser = argparse.ArgumentParser(
        prog="predict.py", description="Print a line of JSON for each image."
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="an image, or .npy")
    files = parser.parse_args().files

    def read() -> tuple[list[dict[str, Any]], NDArray[np.float64]]:
        network = network_of(FOLDER)
        found = [network.read(file) for file in files]
        names = [
            {"file": str(file)} | ({"index": row} if file.suffix == ".npy" else {})
            for file, images in zip(files, found, strict=True)
            for row in range(len(images))
        ]
        return names, network.predict(np.concatenate(found))

    print_lines(read, lambda: network_of(FOLDER).exported.class_names)


if __name__ == "__main__":
    main()
