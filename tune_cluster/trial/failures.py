"""What a trainable's error, or exit, says of its trial, and how often the trial is started again.

An infrastructure failure says nothing of the trial, and is retried often: its process was killed,
its node is gone (Tune does so, in another process; in one epoch no more often than after an error,
see `tune_cluster/execution/process_losses.py`). An error of the trainable itself may be an accident
too, such as a file that could not be read, and is retried a few times, in its own process. After an
error of CUDA a process can use its GPU no more: it counts as lost. A trial that diverged, exits, or
does not report the study's metric, would do so again, and is never retried.

Ray takes a `SystemExit` for the end of the process that it has ordered, and Tune's thread of a
function takes one for success or for no error at all; whoever looks from outside sees a process
that was lost, and starts the trial again and again. So `sys.exit()`, `os._exit()` and a
`KeyboardInterrupt` become an exception in the trainable's own thread.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

LOST_PROCESS_RETRIES = 20
"""Retries of a trial whose process was lost, over a session: so many spot instances are taken in a
day or two."""

ERROR_RETRIES = 3
"""Retries of a trial after an error, as long as it has its process."""

OUT_OF_MEMORY_MESSAGES = (
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)
"""What a RuntimeError says where memory is lacking past torch's allocator."""

_threads = threading.local()
"""Knows of each thread whether a trainable runs in it."""


class TrainableError(Exception):
    """A trainable has raised what its caller cannot raise as it is: the cause of this one."""


class CommandFailedError(Exception):
    """A command that a trial has started has ended with an exit code that is not 0, and has printed
    why itself."""


class StoppedExit(SystemExit):
    """A function is stopped by Tune, in its report."""


def call_trainable(call: Callable[..., T], *args: Any) -> T:
    """Call what a person has written.

    Raises:
        TrainableError: it has exited.
    """
    _threads.of_a_trainable = True
    try:
        return call(*args)
    except StopIteration as error:
        # The thread of a function would end without a word.
        raise TrainableError from error
    except Exception:
        raise
    except BaseException as error:
        # Ray's own exit on SIGTERM has that attribute.
        if hasattr(error, "ray_terminate_msg") or isinstance(error, StoppedExit):
            raise
        raise TrainableError from error
    finally:
        _threads.of_a_trainable = False


class ProcessExits:
    """Watches a process for what Python lets pass: `os._exit()`, which becomes a `SystemExit` where
    a trainable calls it, and the death of a thread of the trainable. Built once a process.
    """

    def __init__(self) -> None:
        self._first: BaseException | None = None
        self._next_hook = threading.excepthook
        threading.excepthook = self._on_thread_error
        _catch_os_exit()

    def forget(self) -> None:
        """Forget what an earlier trial has left."""
        self._first = None

    def check_threads(self) -> None:
        """Raise what the first thread has died of: whoever has waited for it goes on as if it had
        done its work.

        Raises:
            TrainableError: that is its cause.
        """
        if self._first is not None:
            raise TrainableError from self._first

    def _on_thread_error(self, args: threading.ExceptHookArgs) -> None:
        # Python lets a thread end by that without a word, and Tune a function's that reports.
        if not issubclass(args.exc_type, SystemExit):
            self._first = self._first or args.exc_value
        self._next_hook(args)


def _catch_os_exit() -> None:
    """Leave `os._exit()` as it is in subprocesses and in threads that are not the trainable's."""
    process, leave = os.getpid(), os._exit

    def end(status: int) -> None:
        if os.getpid() != process or not getattr(_threads, "of_a_trainable", False):
            leave(status)
        raise SystemExit(f"os._exit({status})" if status else 0)

    os._exit = end  # type: ignore[assignment]


class Retries:
    """Counts the errors of one trial after the other, in the process that they use.

    What one trial has failed of for good is no accident for the next one either, before any epoch
    has gone well in between: it is not retried. So an error that all trials have ends the study
    after a few attempts and not after twenty.
    """

    def __init__(self) -> None:
        self._errors = 0
        self._final_reason = ""

    def reset(self) -> None:
        """Begin to count for another trial."""
        self._errors = 0

    def allow(self, reason: str) -> bool:
        """Count an error; return whether the trial is started again."""
        if self._errors >= ERROR_RETRIES or reason == self._final_reason:
            self._final_reason = reason
            return False
        self._errors += 1
        return True

    def on_epoch(self) -> None:
        """Note that an epoch went well."""
        self._final_reason = ""


def cause_of(error: BaseException) -> BaseException:
    """Return what the trainable raised itself."""
    while isinstance(error, TrainableError) and error.__cause__ is not None:
        error = error.__cause__
    return error


def exited(error: BaseException) -> bool:
    """Return whether a trainable has exited: no accident, which would not happen again."""
    cause = cause_of(error)
    return not isinstance(cause, Exception) or isinstance(cause, StopIteration)


def exited_without_error(error: BaseException) -> bool:
    """Return whether it has done so in good order, as at the end of a script."""
    cause = cause_of(error)
    return isinstance(cause, SystemExit) and cause.code in (None, 0)


def text_of(error: BaseException) -> str:
    """Return the message of an error, whose class a person may have written."""
    try:
        return str(error)
    except Exception as failed:
        return f"its message cannot be read, {type(failed).__name__}"


def out_of_gpu_memory(error: BaseException) -> bool:
    """Return whether `error` says that a GPU's memory, or the share of it, is used up."""
    # By name: a person's own trainable may not use torch, and then nothing here imports it.
    named = type(error).__name__ == "OutOfMemoryError"
    return named or any(message in text_of(error) for message in OUT_OF_MEMORY_MESSAGES)


def device_lost(error: BaseException) -> bool:
    """Return whether the process can use its GPU no more: after an illegal access or a failed
    assertion there every further call fails, of the next trial too."""
    text = f"{type(error).__name__}: {text_of(error)}"
    return not out_of_gpu_memory(error) and ("AcceleratorError" in text or "CUDA error" in text)


def infrastructure_failure(error: BaseException, gpus: float, sequential: bool) -> bool:
    """Return whether a trial with so many GPUs ran out of what it shared with others, memory or
    disk: its configuration may fit into all of it. If it lacked memory of a GPU, it has had one of
    them whole."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    of_host = isinstance(error, MemoryError) or (out_of_gpu_memory(error) and not gpus)
    return of_host and not sequential
