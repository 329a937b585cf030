"""Controls: trials that a rung stopped and that are finished later, to see what it has cost.

Trial 12 was stopped and is finished in a directory of its own, `0012-control`. It goes on from the
latest checkpoint in `0012`, which therefore stays until the control has ended: nothing is copied,
so that a driver can be killed at any moment. Searcher and rungs never know of a control, and so a
study is the same with its controls as without them.
"""

from __future__ import annotations

CONTROL = "-control"


def control_dirname(index: int) -> str:
    """The name of a control's directory, such as `0012-control`."""
    return f"{index:04d}{CONTROL}"


def stopped_dirname(dirname: str) -> str | None:
    """The directory of the trial that the control in `dirname` was; None if it is no control."""
    return dirname.removesuffix(CONTROL) if dirname.endswith(CONTROL) else None
