"""Run a command as a process group that ends with the process that has started it.

As a script, `python -I -S process_group.py SECONDS COMMAND …`, it starts the command in a session
of its own and waits. If its standard input ends, for example because the trial's process was
killed, it sends SIGTERM to the whole group, and SIGKILL after that many seconds. It exits with the
code of the command, or 128 plus the signal that has ended it.

It imports only modules that Python loads anyway, or nearly so, since each trial starts it. A
process that leaves the group by a session of its own is not ended.
"""

import os
import select
import signal
import sys
import time

NOT_STARTED = 127
"""Exit code of a command that cannot be started, as of a shell."""

KILLED = 128
"""Exit code of a command that a signal has ended, minus the signal."""

POLL_SECONDS = 0.02


def main(seconds: float, command: list[str]) -> int:
    """Run the command; return its exit code."""
    child = os.fork()
    if child == 0:
        start(command)
    exited = os.pidfd_open(child)
    ready, _, _ = select.select([exited, 0], [], [])
    if exited not in ready:
        signal_group(child, signal.SIGTERM)
        select.select([exited], [], [], seconds)
    # Includes processes that the command has left in the background.
    signal_group(child, signal.SIGTERM)
    deadline = time.monotonic() + seconds
    status = None
    while time.monotonic() < deadline:
        if status is None:
            found, waited = os.waitpid(child, os.WNOHANG)
            status = waited if found else None
        if not signal_group(child, 0):
            break
        time.sleep(POLL_SECONDS)
    signal_group(child, signal.SIGKILL)
    if status is None:
        status = os.waitpid(child, 0)[1]
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else KILLED - code


def start(command: list[str]) -> None:
    """Become the command, the first process of a session."""
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        os.write(2, f"{command[0]}: {error.strerror}\n".encode(errors="surrogateescape"))
    os._exit(NOT_STARTED)


def signal_group(group: int, number: int) -> bool:
    """Send a signal to a process group; return whether it has a process."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2:]))
