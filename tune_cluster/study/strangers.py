"""Who else may have made, or may change, a study that is resumed.

Whoever can write to a study's folder decides what its trials are and what `best/` holds. That may
be meant, as in a folder of a team, and is told.
"""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tune_cluster.study.directory import TRIALS
from tune_cluster.study.journal import JOURNAL
from tune_cluster.study.study_file import STUDY_FILE


def strangers(study: Path) -> str:
    """Who else has made, or may change, what is gone on with; empty where nobody does."""
    told = dict.fromkeys(_told(study))
    if not told:
        return ""
    return (
        f"{study}: {'; '.join(told)}. Whoever writes there decides what is trained and what is "
        "kept as the best: go on only if you trust them (SECURITY.md)"
    )


def _told(study: Path) -> Iterator[str]:
    own = os.geteuid()
    for path in (study, study / STUDY_FILE, study / JOURNAL, study / TRIALS):
        with suppress(FileNotFoundError):
            found = path.stat()
            what = "it" if path == study else path.name
            if found.st_uid != own:
                yield f"{what} belongs to {_user(found.st_uid)}"
            if writers := _writers(found):
                yield f"{what} may be written to by {writers}"
    above = study.resolve().parent.stat()
    # Who may rename in the folder of studies may put another one in its place, unless only owners
    # may, as in /tmp.
    if not above.st_mode & stat.S_ISVTX and (writers := _writers(above)):
        yield f"the folder that it is in may be written to by {writers}"


def _writers(found: os.stat_result) -> str:
    """Who but its owner may write to it; empty where nobody may."""
    if found.st_mode & stat.S_IWOTH:
        return "everybody"
    if found.st_mode & stat.S_IWGRP and not _is_private(found.st_gid, found.st_uid):
        return f"the group {_group(found.st_gid)}"
    return ""


def _is_private(group: int, owner: int) -> bool:
    """Whether a group is that of one user alone, as many systems make one for each."""
    try:
        known, user = grp.getgrgid(group), pwd.getpwuid(owner)
    except KeyError:
        return False
    return (
        user.pw_gid == group
        and known.gr_name == user.pw_name
        and set(known.gr_mem) <= {user.pw_name}
    )


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
