"""Why the process of a trial was lost, from what Ray raises on the driver.

Ray's text names process, actor and machine, and what is alike for two trials would differ in its
every line. What a person reads, and what is compared with other trials, goes without them.
"""

from __future__ import annotations

import re

from ray.exceptions import RayActorError, RayTaskError


class ProcessLostError(RayActorError):
    """What else Ray raises for a process that is gone, as the error of an actor: Tune knows how to
    go on from those alone.

    Args:
        error: a kill by the memory monitor, a result that could not be read, and what may come.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(error_msg=str(error))
        self.error = error


NAMES = re.compile(r"\b[0-9a-f]{16,}\b|\b\d+(\.\d+){3}(:\d+)?\b|(?<=pid=)\d+")
"""Ids of actors, nodes and workers, addresses, processes."""

HOW_MANY = re.compile(r"\b\d+ worker\(s\) were ")
"""That the memory monitor has killed at once."""

ADVICE = re.compile(r" (Some common causes include|Memory on the node)\b.*")
"""What follows is as long as a page, or has figures."""

COLOURS = re.compile(r"\x1b\[\d+m")


def told(error: Exception, *, failed: bool = False) -> dict[str, str]:
    """For the journal, of a process that was lost once more, or for the last time."""
    again = " again and again" if failed else ""
    return {"reason": f"its process was lost{again} ({why(error)})", "traceback": all_of_it(error)}


def cause_of(error: Exception) -> Exception:
    """What the process was lost by: an error that was raised in it, if one was."""
    if isinstance(error, ProcessLostError):
        return error.error
    if isinstance(error, RayTaskError) and isinstance(error.cause, Exception):
        return error.cause
    return error


def why(error: Exception) -> str:
    """In a line."""
    cause = cause_of(error)
    if not isinstance(cause, RayActorError):
        return in_a_line(f"{type(cause).__name__}: {cause}")
    lines = all_of_it(cause).splitlines()
    if cause.actor_init_failed:
        last_frame = max(n for n, line in enumerate([" ", *lines]) if line.startswith(" "))
        return in_a_line("\n".join(lines[last_frame:]))
    # Below the names of the actor.
    last_name = max((n for n, line in enumerate(lines) if line.startswith("\t")), default=-1)
    told = "\n".join(lines[last_name + 1 :])
    return in_a_line(told.rpartition("Worker exit detail: ")[2])


def all_of_it(error: Exception) -> str:
    """Everything that Ray tells, a traceback where there is one."""
    return COLOURS.sub("", str(error))


def in_a_line(text: str) -> str:
    """The first line, without names and advice."""
    first = text.strip().partition("\n")[0]
    return ADVICE.sub("", HOW_MANY.sub("", NAMES.sub("…", first)))
