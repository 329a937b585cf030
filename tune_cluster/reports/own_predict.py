"""The exported model of a script: `load()` builds it and loads its weights.

    python predict.py                 load it, and say what it is
    from predict import predict       predict(inputs), a tensor

`build_model` is what has yet to be written. Needs torch.
"""

import functools
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

FOLDER = Path(__file__).parent
ABOUT: dict[str, Any] = json.loads((FOLDER / "config.json").read_text("utf-8"))


# ---------------------------------------------------------------------------------------------
# Build the model here, as the script in config.json does with these values of its arguments.
def build_model(config: Mapping[str, Any]) -> nn.Module:
    """Return the model, untrained."""
    raise NotImplementedError(
        f"write build_model in {__file__}, as {ABOUT['script']} builds the model with "
        f"{', '.join(f'{name}={value}' for name, value in config.items())}"
    )


# ---------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=1)
def load() -> nn.Module:
    """Return the model with its weights, to predict."""
    if not ABOUT["weights"]:
        raise NotImplementedError(
            f"its checkpoint is {', '.join(ABOUT['checkpoint']) or 'empty'}: load it with the "
            f"library that wrote it, as {ABOUT['script']} does"
        )
    model = build_model(ABOUT["config"])
    # The first object that the script saves; the others are in config.json.
    weights = torch.load(FOLDER / ABOUT["weights"][0], map_location="cpu", weights_only=True)
    model.load_state_dict(weights)
    return model.eval()


def predict(inputs: Tensor) -> Tensor:
    """Return the outputs of the model."""
    with torch.inference_mode():
        outputs: Tensor = load()(inputs)
    return outputs


def main() -> None:
    """Say what the model is."""
    try:
        model = load()
    except (NotImplementedError, OSError, RuntimeError, ValueError) as error:
        print("error:", " ".join(str(error).split()), file=sys.stderr)
        sys.exit(2)
    count = sum(parameter.numel() for parameter in model.parameters())
    print(f"{type(model).__name__} with {count:,} parameters: {ABOUT['weights'][0]}")


if __name__ == "__main__":
    main()
