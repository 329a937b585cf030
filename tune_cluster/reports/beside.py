"""Studies beside another one, which continue or repeat its trials: `NAME-audit`, `NAME-confirm`."""

from __future__ import annotations

from pathlib import Path

from tune_cluster.storage.s3 import S3Store
from tune_cluster.storage.store import SCHEME, expanded
from tune_cluster.study.directory import local_copy
from tune_cluster.study.stored import StoredStudy, read_study
from tune_cluster.study.study_file import STUDY_FILE


def absolute(study: str) -> str:
    """Return the absolute address of a study."""
    study = expanded("STUDY", study)
    return study.rstrip("/") if study.startswith(SCHEME) else str(Path(study).absolute())


def name_in(address: str) -> str:
    """Return the name of the study at an address."""
    return address.rstrip("/").rpartition("/")[2]


def sibling(address: str, name: str) -> str:
    """Return the address of the study with a name that is beside the one at an address."""
    return f"{address.rpartition('/')[0]}/{name}"


def is_there(study: str) -> bool:
    """Return whether a study exists at an address."""
    if study.startswith(SCHEME):
        return bool(S3Store(study).files())
    return (Path(study) / STUDY_FILE).exists()


def read(study: str) -> StoredStudy:
    """Read a study from its address; raise a ValueError if it does not exist or is damaged."""
    return read_study(local_copy(study), address=study)
