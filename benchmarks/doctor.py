"""Does the doctor find what is wrong with a study, and does the next study recover by itself?

Claim: every planted fault is found, healthy studies have no failure and at most one warning, and
two runs of `tune-cluster next` bring a study that began with a learning-rate range a decade below
the optimum and trials of 3 epochs to within 0.3 points of one that was well set.

Method: each case is a study of the first job, `tune_jobs/asha_lr_batch.py`, as a process of its
own, with the fault in its flags, in its data, in its cluster or done to its processes while it
runs; then `tune-cluster doctor` examines what it has left. A fault is found if its own check warns
or fails; how many others do is shown, since a fault has consequences (a rate that is too high also
leaves few trials with a value). The data is Fashion-MNIST: 2,000 images for the faults, 10,000 for
the rest, and scikit-learn's digits. Of healthy studies each has another seed, and two have other
images.

The bad start, `sh next.sh` of its doctor, and that of the study after it run without a change by
hand. They are compared with the well-set study by their best validation accuracy on the same split,
in points; the test accuracy of each best checkpoint is shown beside it.

The fault `dataset` hides the system's copy of Fashion-MNIST and the network from its study, and
needs root. Studies that have ended are kept in `--folder` and not run again: it can be stopped and
started again. `--cases` takes names of faults, `healthy`, `next`, `next_cosine` (in which the
rate falls to 0), and of what `doctor_unseen.py` has: names of its faults, and `unseen_healthy`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from doctor_faults import FAULTS, HEALTHY
from doctor_next import of_next
from doctor_studies import Planned, ended, row, verdicts
from doctor_unseen import UNSEEN, UNSEEN_HEALTHY
from table import Row, run_benchmark

SEEDS = ("2", "4")
"""Seeds of the bad starts, and of the well-set studies that they are compared with."""


def of_fault(folder: Path, name: str, planned: Planned) -> list[Row]:
    """Return whether a fault is found, and the number of findings beside it."""
    found = verdicts(ended(folder, name, planned), name)
    hits = sum(one["check"] == planned.check for one in found)
    return [
        row(f"{name} ({planned.check})", "found", float(bool(hits)), ""),
        row(f"{name} ({planned.check})", "other_findings", float(len(found) - hits), ""),
    ]


def of_healthy(folder: Path, studies: Mapping[str, Planned]) -> list[Row]:
    """Return the number of failures and warnings of each healthy study."""
    rows = []
    for name, planned in studies.items():
        found = verdicts(ended(folder, f"healthy_{name}", planned), f"healthy {name}")
        for metric, verdict in (("fails", "fail"), ("warns", "warn")):
            count = sum(one["verdict"] == verdict for one in found)
            rows.append(row(f"healthy {name}", metric, float(count), ""))
    return rows


def measure(quick: bool, folder: Sequence[str], cases: Sequence[str]) -> list[Row]:
    """Run what is missing, and return the figures; with `quick` two faults."""
    with ExitStack() as stack:
        # Paths of Ray's sockets have at most 107 characters.
        os.environ["RAY_TMPDIR"] = stack.enter_context(tempfile.TemporaryDirectory(prefix="tc-"))
        kept = Path(folder[0] if folder else stack.enter_context(tempfile.TemporaryDirectory()))
        kept = kept.absolute()
        chosen = ("too_few_trials", "batches_at_one_rate") if quick else cases
        faults = FAULTS | UNSEEN
        rows = []
        for name in chosen:
            if name in faults:
                rows += of_fault(kept, name, faults[name])
            elif name == "healthy":
                rows += of_healthy(kept, HEALTHY)
            elif name == "unseen_healthy":
                rows += of_healthy(kept, UNSEEN_HEALTHY)
            elif name == "next":
                rows += [one for seed in SEEDS for one in of_next(kept, seed)]
            else:
                rows += [one for seed in SEEDS for one in of_next(kept, seed, "_cosine")]
        for title, group in (("all faults", FAULTS), ("all unseen faults", UNSEEN)):
            names = {f"{name} ({planned.check})" for name, planned in group.items()}
            found = [one.value for one in rows if one.metric == "found" and one.case in names]
            if found:
                rows.append(row(title, "found", sum(found), f"of {len(found)}"))
        return rows


CASES = (*FAULTS, "healthy", "next", "next_cosine", *UNSEEN, "unseen_healthy")

if __name__ == "__main__":
    run_benchmark(measure, __doc__ or "", folder=(), cases=CASES)
