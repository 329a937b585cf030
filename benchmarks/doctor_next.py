"""The next study from a bad start, beside a study that was well set."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from doctor_faults import FIRST, WELL_SET, images
from doctor_studies import Planned, complete, ended, row, tool
from table import Row

BAD_START = (
    *("--trials", "24", "--max-epochs", "3", "--search", "learning_rate=log:1e-4:2e-3"),
    *("--fix", "dropout=0.5", "label_smoothing=0.1"),
)
"""The best rates of the well-set studies are about 0.02."""

NEXT = 2
"""Number of studies after a bad start."""


SCHEDULES = {"": (), "_cosine": ("schedule=cosine",)}
"""Values that all studies of a comparison have fixed beside, by the end of their names."""


def of_next(folder: Path, seed: str, schedule: str = "") -> list[Row]:
    """Return the accuracies of the well-set study, of the bad start and of those after it."""

    def planned(flags: tuple[str, ...]) -> Planned:
        return Planned(
            flags=("--seed", seed, *flags, *SCHEDULES[schedule]),
            data=lambda: images(FIRST, 10_000),
        )

    well = ended(folder, f"healthy_fashion_{seed}{schedule}", planned(WELL_SET))
    before = ended(folder, f"bad_start_{seed}{schedule}", planned(BAD_START))
    studies = {"well set": well, "bad start": before}
    for number in range(1, NEXT + 1):
        before = following(folder / f"next_{seed}{schedule}_{number}", before)
        studies[f"bad start, next {number}"] = before
    best = {name: accuracies(study) for name, study in studies.items()}
    rows = []
    for name, (validated, tested) in best.items():
        case = f"{name}, seed {seed}{schedule.replace('_', ', ')}"
        behind = 100 * (best["well set"][0] - validated)
        rows += [
            row(case, "val_accuracy", validated, ""),
            row(case, "test_accuracy", tested, ""),
            row(case, "behind_well_set", behind, "points"),
        ]
    return rows


def following(place: Path, before: Path) -> Path:
    """Return the folder of the study, in `place`, that the doctor of another one has written."""
    study, done = place / "study", place / "ended"
    if not done.exists():
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        print(tool("next", str(before)), file=sys.stderr)
        words = ["--yes", "--storage-path", str(place), "--name", "study"]
        complete(["sh", str(before / "next.sh"), *words], study)
        done.touch()
    return study


def accuracies(study: Path) -> tuple[float, float]:
    """Return the best validation accuracy, and the test accuracy of that checkpoint."""
    best = json.loads((study / "best" / "best.json").read_text())
    tested = {**best, **best.get("test", {})}
    return best["val_accuracy"], tested["test_accuracy"]
