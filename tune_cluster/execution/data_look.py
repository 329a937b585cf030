"""A look at the data before the first trial: its warnings, and a page in the study's directory."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tune_cluster.execution.ray_tune.study import Study
from tune_cluster.study.study_file import DATA_FILE, write_text

WARNING = "DATA"
"""Name of a line with a warning."""


@dataclass(frozen=True)
class DataLook:
    """Findings of the `look` of a trainable in the dataset of a study."""

    warnings: tuple[str, ...]
    """Sentences that a person should read before the first trial."""
    page: str
    """HTML page; empty if the look has failed."""
    leakage: Mapping[str, float]
    """Share of a part's samples that another part has too, by the names of both."""
    seconds: float
    """Time that it took."""

    def described(self, notices: Sequence[str]) -> dict[str, Any]:
        """Return what `study.json` has of it, after the other notices of the study."""
        return {"notices": [*notices, *self.warnings], "leakage": dict(self.leakage)}

    def lines(self, page: str) -> Iterator[tuple[str, str]]:
        """Yield lines for the plan: each warning, and where the page is."""
        for warning in self.warnings:
            yield WARNING, warning
        count = len(self.warnings)
        found = "no warnings" if not count else f"{count} warning{'s' if count > 1 else ''}"
        where = f": {page}" if self.page else ""
        yield "look", f"{found} about the data, in {self.seconds:.1f} s{where}"


def look_at_data(study: Study) -> DataLook | None:
    """Look at the dataset of a new study; None without one, or if the trainable has no `look`.

    An error in it is a warning: no study fails by what is only shown.
    """
    look = getattr(study.trainable, "look", None)
    if look is None or study.dataset is None or study.options.resume is not None:
        return None
    began = time.monotonic()
    try:
        found = look(study.dataset)
        warnings, page = tuple(map(str, found.warnings)), str(found.page)
        leakage = {str(n): float(share) for n, share in getattr(found, "leakage", {}).items()}
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        warnings, page = (f"the look at the data has failed: {reason}",), ""
        leakage = {}
    return DataLook(warnings, page, leakage, time.monotonic() - began)


def write_page(study: Study, look: DataLook) -> None:
    """Write `data.html` to the directory of a study."""
    if look.page:
        write_text(study.directory / DATA_FILE, look.page, study.retry)
