"""How often a trial that went wrong is started again, from its checkpoint, before it has failed.

What went wrong around it says nothing of it, and is retried often: its process was killed, its node
is gone (Tune does so, in another process; in one epoch no more often than after an error, see
`tune_cluster/execution/losses.py`). An error of the trainable itself may be an accident too,
such as a file that could not be read, and is retried a few times, in its own process. After an
error of CUDA a process can use its GPU no more: it counts as lost. A trial that
diverged, exits, or does not report the study's metric, would do so again, and is never retried.
"""

from __future__ import annotations

import errno

from tune_cluster.trial.gpu_share import out_of_memory

LOST_PROCESSES = 20
"""Of a trial, over a session: so many spot instances are taken in a day or two."""

ERRORS = 3
"""Of a trial, as long as it has its process."""


class Retries:
    """Counts the errors of one trial after the other, in the process that they use.

    What one trial has failed of for good is no accident for the next one either, before any epoch
    has gone well in between: it is not retried. So an error that all trials have ends the study
    after a few attempts and not after twenty.
    """

    def __init__(self) -> None:
        self._errors = 0
        self._for_good = ""

    def begin(self) -> None:
        """Another trial."""
        self._errors = 0

    def again(self, reason: str) -> bool:
        """Whether the trial is started again after this error."""
        if self._errors >= ERRORS or reason == self._for_good:
            self._for_good = reason
            return False
        self._errors += 1
        return True

    def epoch_done(self) -> None:
        """An epoch went well."""
        self._for_good = ""


def device_lost(error: BaseException) -> bool:
    """Whether the process can use its GPU no more: after an illegal access or a failed assertion
    there every further call fails, of the next trial too."""
    told = f"{type(error).__name__}: {error}"
    return not out_of_memory(error) and ("AcceleratorError" in told or "CUDA error" in told)


def blameless(error: BaseException, gpus: float, alone: bool) -> bool:
    """Whether the trial ran out of what it shared with others, memory or disk: its configuration
    may fit into all of it. With GPUs it has had one of them whole, if it lacked memory there."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    of_host = isinstance(error, MemoryError) or (out_of_memory(error) and not gpus)
    return of_host and not alone
