"""In the style of a Hydra application: overrides of a configuration, a log of dictionaries."""

import sys

config = {
    "epochs": "9",
    "optimizer.lr": "0.1",
    "optimizer.name": "sgd",
    "optimizer.momentum": "0.9",
}
for override in sys.argv[1:]:
    key, _, value = override.partition("=")
    if key not in config and not key.startswith("hydra."):
        raise SystemExit(f"Could not override '{key}'. Key '{key}' is not in struct")
    config[key] = value

weight = 1.0
for epoch in range(int(config["epochs"])):
    momentum = float(config["optimizer.momentum"]) if config["optimizer.name"] == "sgd" else 0
    weight -= float(config["optimizer.lr"]) * (1 + momentum) * weight
    print({"epoch": epoch, "train/loss": 2 * weight**2, "val/loss": weight**2})
