"""Why the process of a trial was lost, from what Ray raises on the driver.

Ray's text names process, actor and machine, and what is alike for two trials would differ in its
every line. What a person reads, and what is compared with other trials, goes without them.
"""

from __future__ import annotations

import re

from ray.exceptions import RayActorError, RayTaskError

NAMES = re.compile(r"\b[0-9a-f]{16,}\b|\b\d+(\.\d+){3}(:\d+)?\b|(?<=pid=)\d+")
"""Ids of actors, nodes and workers, addresses, processes."""

ADVICE = re.compile(r" (Some common causes include|Memory on the node)\b.*")
"""What follows is as long as a page, or has figures."""

COLOURS = re.compile(r"\x1b\[\d+m")


def told(error: Exception, times: int = 0) -> dict[str, str]:
    """For the journal, of a process that was lost once more or so many times in all."""
    in_all = f", {times} times in all" if times else ""
    reason = f"its process was lost{in_all} ({why(error)})"
    return {"reason": reason, "traceback": all_of_it(error)}


def why(error: Exception) -> str:
    """In a line."""
    if isinstance(error, RayTaskError):
        # Raised in the process, which is given up for it.
        return in_a_line(f"{type(error.cause).__name__}: {error.cause}")
    if not isinstance(error, RayActorError):
        return in_a_line(f"{type(error).__name__}: {error}")
    lines = all_of_it(error).splitlines()
    if error.actor_init_failed:
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
    return ADVICE.sub("", NAMES.sub("…", first))
