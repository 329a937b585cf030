"""An environment that lacks extras."""

import os
from pathlib import Path

EXTRAS = ("hyperopt", "optuna", "plotly", "matplotlib", "boto3", "wandb", "mlflow", "aim")

HIDES = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
"""


def environment_without(names, folder):
    """Return environment variables under which Python finds none of these modules; `folder` gets
    the files that hide them."""
    root = Path(__file__).parents[1]
    (folder / "sitecustomize.py").write_text(HIDES.format(names=tuple(names)))
    return {**os.environ, "PYTHONPATH": f"{folder}:{root}"}
