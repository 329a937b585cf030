"""A trainable that exits: `sys.exit()`, `os._exit()`, a `KeyboardInterrupt`, the end of its thread.

Ray takes a `SystemExit` for the end of the process that it has ordered, and Tune's thread of a
function takes one for success or for no error at all; whoever looks from outside sees a process
that was lost, and starts the trial again and again. So they become an exception of ours in the
trainable's own thread.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from ray.air._internal.util import StartTraceback

from tune_cluster.trial.function_session import StoppedExit

T = TypeVar("T")

_threads = threading.local()
"""Knows of each thread whether a trainable runs in it."""


class ExitedError(Exception):
    """A trainable has raised what is no `Exception`, the cause of this one."""


def telling_exits(call: Callable[..., T], *args: Any) -> T:
    """Calls what a person has written.

    Raises:
        ExitedError: it has exited.
    """
    _threads.of_a_trainable = True
    try:
        return call(*args)
    except StopIteration as error:
        # The thread of a function would end without a word.
        raise ExitedError from error
    except Exception:
        raise
    except BaseException as error:
        if _ordered(error):
            raise
        raise ExitedError from error
    finally:
        _threads.of_a_trainable = False


class Exits:
    """Hears of the exits in a process: of `os._exit()`, which becomes one like any other where a
    trainable calls it, and of a thread of the trainable that dies of an exception. Once a process.
    """

    def __init__(self) -> None:
        self._first: BaseException | None = None
        self._told = threading.excepthook
        threading.excepthook = self._note
        _catch_os_exit()

    def forget(self) -> None:
        """A trial begins: what an earlier one has left is not its own."""
        self._first = None

    def check_threads(self) -> None:
        """Raises what the first thread has died of: whoever has waited for it goes on as if it had
        done its work.

        Raises:
            ExitedError: that is its cause.
        """
        if self._first is not None:
            raise ExitedError from self._first

    def _note(self, args: threading.ExceptHookArgs) -> None:
        # Python lets a thread end by that without a word, and Tune a function's that reports.
        if not issubclass(args.exc_type, SystemExit):
            self._first = self._first or args.exc_value
        self._told(args)


def raised(error: BaseException) -> BaseException:
    """What a trainable raised: a function does so in the thread that Tune runs it in."""
    while isinstance(error, (StartTraceback, ExitedError)) and error.__cause__ is not None:
        error = error.__cause__
    return error


def exited(error: BaseException) -> bool:
    """Whether a trainable has exited: no accident, which would not happen again."""
    return not isinstance(raised(error), Exception) or isinstance(raised(error), StopIteration)


def exited_well(error: BaseException) -> bool:
    """Whether it has done so in good order, as at the end of a script."""
    error = raised(error)
    return isinstance(error, SystemExit) and error.code in (None, 0)


def _ordered(error: BaseException) -> bool:
    """Whether the exit is that of a process that is to end, or of a function that is stopped."""
    # The first is Ray's, on SIGTERM.
    return hasattr(error, "ray_terminate_msg") or isinstance(error, StoppedExit)


def _catch_os_exit() -> None:
    """Leaves `os._exit()` as it is in subprocesses and in threads that are not the trainable's."""
    process, leave = os.getpid(), os._exit

    def end(status: int) -> None:
        if os.getpid() != process or not getattr(_threads, "of_a_trainable", False):
            leave(status)
        raise SystemExit(f"os._exit({status})" if status else 0)

    os._exit = end  # type: ignore[assignment]
