"""Picture for docs/: the report of a study.

    python benchmarks/screenshots.py results/STUDY

Needs Chromium (Debian: chromium) and the extra `report`.
"""

import argparse
import subprocess
import tempfile
from pathlib import Path

from tune_cluster.reports.commands import report

DOCS = Path(__file__).parent.parent / "docs"

CHROMIUM = (
    *("chromium", "--headless", "--no-sandbox", "--disable-gpu"),
    *("--disable-background-networking", "--hide-scrollbars", "--virtual-time-budget=20000"),
)

WIDTH, HEIGHT = 1240, 1980
"""Pixels of the picture: the answer, the best trials, the course, the curves and the importance."""


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path)
    study = parser.parse_args().study
    with tempfile.TemporaryDirectory() as folder:
        report((str(study),), to=folder)
        taken(f"file://{folder}/report.html", DOCS / "report.png")


def taken(address: str, target: Path) -> None:
    """Write what a browser shows at an address."""
    size = f"--window-size={WIDTH},{HEIGHT}"
    subprocess.run([*CHROMIUM, size, f"--screenshot={target}", address], check=True)


if __name__ == "__main__":
    main()
