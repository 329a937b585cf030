"""The best model of a study, to be used outside of it.

Nothing of the study is changed, and nothing in it is unpickled but tensors and plain values.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tune_cluster.reports.readable import readable
from tune_cluster.storage.checkpoints import read_record
from tune_cluster.storage.integrity import check_sums, parse
from tune_cluster.storage.retry import StorageRetry
from tune_cluster.storage.s3 import S3Store
from tune_cluster.storage.store import RESULT_FILE, SCHEME, LocalStore, Store
from tune_cluster.study.best_checkpoints import best_checkpoints
from tune_cluster.study.directory import TRIALS
from tune_cluster.study.state import BestTrial
from tune_cluster.study.stored import StoredStudy
from tune_cluster.study.study_file import BEST, BEST_FILE, STUDY_FILE


@dataclass(frozen=True)
class Chosen:
    """The best checkpoint of a study that is intact."""

    address: str
    """Address of the study."""
    study: StoredStudy
    folder: Path
    """Local folder with its files."""
    trial: int
    epoch: float
    notice: str = ""
    """What differs from the best trial at its best epoch; empty if nothing does."""

    @property
    def name(self) -> str:
        """Name of the study."""
        path = Path(self.address.rstrip("/"))
        return path.name if self.address.startswith(SCHEME) else path.resolve().name

    @property
    def config(self) -> dict[str, Any]:
        """Configuration that it was trained with."""
        return self.study.state.trials[self.trial].config_at(self.epoch)

    def described(self) -> dict[str, Any]:
        """Return where it comes from, as plain JSON."""
        about, state = self.study.about, self.study.state
        metrics = state.trials[self.trial].results[self.epoch]
        known = ("job", "dataset", "git_commit", "versions", "created")
        return {
            "study": self.name,
            "address": self.address,
            "trial": self.trial,
            "epoch": self.epoch,
            "metric": state.objective.metric,
            "mode": state.objective.mode,
            "value": metrics[state.objective.metric],
            "metrics": metrics,
            **{name: about[name] for name in known if name in about},
        }


@contextmanager
def chosen(address: str) -> Iterator[Chosen]:
    """Provide the best intact checkpoint of a study within the `with` block: that in `best/`, or
    the best one of its trials while it runs and where `best/` is missing, older or damaged.

    Args:
        address: folder of the study, or s3://bucket/folder/name.

    Raises:
        ValueError: there is no study, no trial has a value yet, or no checkpoint is intact.
    """
    found = readable(address)
    if not (found.directory / STUDY_FILE).is_file():
        raise ValueError(f"{address}: no study is there (it has no {STUDY_FILE})")
    state = found.study.state
    best = state.best
    if best is None:
        raise ValueError(f"{address}: no trial has reported {state.objective.metric} yet")
    notices = [found.notice] if found.notice else []
    if (found.directory / "ensemble" / "ensemble.json").exists():
        notices.append("it is the best single model; tune_cluster.Ensemble uses its ensemble")
    folder = found.directory / BEST
    if (kept := _kept(found.directory, best)) is not None:
        trial, epoch = kept
        if (trial, epoch) != (best.trial.index, best.epoch):
            notices.append(_instead(best, trial, epoch))
        yield Chosen(address, found.study, folder, trial, epoch, "; ".join(notices))
        return
    bucket = address.startswith(SCHEME)
    store: Store = S3Store(address) if bucket else LocalStore(found.directory.absolute())
    meant = (best.trial.index, best.epoch)
    for checkpoint in best_checkpoints(store / TRIALS, state, meant, StorageRetry(store)):
        trial = int(checkpoint.store.name)
        with checkpoint.store.reading(checkpoint.name) as files:
            try:
                check_sums(files, checkpoint.files)
            except (OSError, ValueError):
                continue
            if (trial, checkpoint.epoch) != meant:
                notices.append(_instead(best, trial, checkpoint.epoch))
            notice = "; ".join(notices)
            yield Chosen(address, found.study, files, trial, checkpoint.epoch, notice)
            return
    raise ValueError(
        f"{address}: has no intact checkpoint: no trial has saved one, or they were deleted"
    )


def _kept(directory: Path, best: BestTrial) -> tuple[int, float] | None:
    """Return trial and epoch of the checkpoint in `best/`, if it is intact and is the best, or was
    put there instead of the best."""
    meant = {"trial": best.trial.index, "epoch": best.epoch}
    store = LocalStore(directory.absolute()) / BEST
    try:
        content = parse(store.read(BEST_FILE))
        instead = content.get("instead_of") or content
        if "checkpoint" not in content or {name: instead[name] for name in meant} != meant:
            return None
        with LocalStore(directory.absolute()).reading(BEST) as folder:
            record = read_record((folder / RESULT_FILE).read_bytes())
            check_sums(folder, record.get("files", {}))
        return int(content["trial"]), content["epoch"]
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return None


def _instead(best: BestTrial, trial: int, epoch: float) -> str:
    return (
        f"trial {trial} after epoch {epoch:g}, since the checkpoint of the best, trial "
        f"{best.trial.index} after epoch {best.epoch:g}, is damaged or missing"
    )


@contextmanager
def new_folder(flag: str, path: Path) -> Iterator[Path]:
    """Create a folder, and delete it if the `with` block fails.

    Raises:
        ValueError: it has files already, or cannot be created; `flag` names it.
    """
    if path.is_dir() and any(path.iterdir()):
        raise ValueError(f"{flag} {path}: is there already, and is not empty; give another folder")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"{flag} {path}: cannot be written ({error.strerror})") from None
    try:
        yield path
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        raise
