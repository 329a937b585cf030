"""Failures of a trainable: what an error or exit means for its trial, and how often it is retried.

An infrastructure failure says nothing about the trial, and is retried often: its process was
killed, or its node was lost (Tune restarts it in another process; in one epoch no more often than
after an error, see `tune_cluster/execution/process_losses.py`). An error of the trainable itself
may be an accident too, such as a file that could not be read, and is retried a few times, in its
own process. After a CUDA error a process can no longer use its GPU: it counts as lost. A trial that
diverged, exits, or does not report the study's metric, would do so again, and is never retried.

Ray treats a `SystemExit` as the end of the process that it has ordered, and Tune's thread of a
function treats one as success or ignores it; from outside the process looks lost, and the trial
would be restarted again and again. So `sys.exit()`, `os._exit()` and a `KeyboardInterrupt` become
an exception in the trainable's own thread.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

LOST_PROCESS_RETRIES = 20
"""Retries of a trial whose process was lost, in a session: about as many spot instances are
reclaimed in a day or two."""

ERROR_RETRIES = 3
"""Retries of a trial after an error that leaves its process usable."""

OUT_OF_MEMORY_MESSAGES = (
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)
"""Messages of a RuntimeError for lack of memory outside of torch's allocator."""

_threads = threading.local()
"""Thread-local flag: whether a trainable runs in the thread."""


class TrainableError(Exception):
    """A trainable has raised an error that its caller cannot raise itself: the cause of this
    one."""


class CommandFailedError(Exception):
    """A command that a trial has started has ended with an exit code that is not 0, and has printed
    why itself."""


class StoppedExit(SystemExit):
    """Raised in a function's report when Tune stops the function."""


def call_trainable(call: Callable[..., T], *args: Any) -> T:
    """Call the user's code.

    Raises:
        TrainableError: it has exited.
    """
    _threads.of_a_trainable = True
    try:
        return call(*args)
    except StopIteration as error:
        # The thread of a function would end silently.
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
    """Detects exits that Python does not report: `os._exit()`, which becomes a `SystemExit` in a
    trainable, and the death of a thread of the trainable. Built once per process.
    """

    def __init__(self) -> None:
        self._first: BaseException | None = None
        self._next_hook = threading.excepthook
        threading.excepthook = self._on_thread_error
        _catch_os_exit()

    def forget(self) -> None:
        """Forget the errors of an earlier trial."""
        self._first = None

    def check_threads(self) -> None:
        """Raise the error that a thread has died of: code that waited for the thread continues as
        if it had done its work.

        Raises:
            TrainableError: a thread has died; its error is the cause.
        """
        if self._first is not None:
            raise TrainableError from self._first

    def _on_thread_error(self, args: threading.ExceptHookArgs) -> None:
        # Python lets a thread end by it silently, and Tune the thread of a function that reports.
        if not issubclass(args.exc_type, SystemExit):
            self._first = self._first or args.exc_value
        self._next_hook(args)


def _catch_os_exit() -> None:
    """Change `os._exit()` in the trainable's threads alone, not in subprocesses or other
    threads."""
    process, leave = os.getpid(), os._exit

    def end(status: int) -> None:
        if os.getpid() != process or not getattr(_threads, "of_a_trainable", False):
            leave(status)
        raise SystemExit(f"os._exit({status})" if status else 0)

    os._exit = end  # type: ignore[assignment]


class Retries:
    """Counts the errors of consecutive trials in their common process.

    An error that one trial has finally failed with is no accident for the next trial either, unless
    an epoch has succeeded in between: it is not retried. So an error that all trials have ends the
    study after a few attempts instead of twenty.
    """

    def __init__(self) -> None:
        self._errors = 0
        self._final_reason = ""

    def reset(self) -> None:
        """Start counting for another trial."""
        self._errors = 0

    def allow(self, reason: str) -> bool:
        """Count an error; return whether the trial is started again."""
        if self._errors >= ERROR_RETRIES or reason == self._final_reason:
            self._final_reason = reason
            return False
        self._errors += 1
        return True

    def on_epoch(self) -> None:
        """Note that an epoch has succeeded."""
        self._final_reason = ""


def cause_of(error: BaseException) -> BaseException:
    """Return the error that the trainable itself has raised."""
    while isinstance(error, TrainableError) and error.__cause__ is not None:
        error = error.__cause__
    return error


def exited(error: BaseException) -> bool:
    """Return whether a trainable has exited, which would happen again."""
    cause = cause_of(error)
    return not isinstance(cause, Exception) or isinstance(cause, StopIteration)


def exited_without_error(error: BaseException) -> bool:
    """Return whether it has exited with success, as at the end of a script."""
    cause = cause_of(error)
    return isinstance(cause, SystemExit) and cause.code in (None, 0)


def text_of(error: BaseException) -> str:
    """Return the message of an error, whose class may be the user's."""
    try:
        return str(error)
    except Exception as failed:
        return f"its message cannot be read, {type(failed).__name__}"


def out_of_gpu_memory(error: BaseException) -> bool:
    """Return whether `error` means that a GPU's memory, or the share of it, is used up."""
    # By name: the user's trainable may not use torch, and then nothing here imports it.
    named = type(error).__name__ == "OutOfMemoryError"
    return named or any(message in text_of(error) for message in OUT_OF_MEMORY_MESSAGES)


def device_lost(error: BaseException) -> bool:
    """Return whether the process can no longer use its GPU: after an illegal access or a failed
    assertion there every further call fails, for the next trial too."""
    text = f"{type(error).__name__}: {text_of(error)}"
    return not out_of_gpu_memory(error) and ("AcceleratorError" in text or "CUDA error" in text)


def infrastructure_failure(error: BaseException, gpus: float, sequential: bool) -> bool:
    """Return whether a trial with `gpus` GPUs ran out of a resource that it shared with others,
    memory or disk: its configuration may fit if it has all of it. If it ran out of the memory of a
    GPU, it has had a whole one."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    of_host = isinstance(error, MemoryError) or (out_of_gpu_memory(error) and not gpus)
    return of_host and not sequential
