"""Lines from a trial's process for who watches the study: they go by Ray's own store of keys, since
the storage may be what they are about, and a report comes only when the epoch is over."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress

from tune_cluster.cluster.compat import HeadStore
from tune_cluster.plain_text import one_line
from tune_cluster.storage.retry import print_line

NAMESPACE = "tune_jobs_notices"

EVERY_SECONDS = 1.0
"""Between two looks; each takes the head less than a millisecond."""


def telling(trials: str, trial: str) -> Callable[[str], None]:
    """What sends a line from a trial's process.

    Args:
        trials: the address of the study's `trials/`.
        trial: the name of the trial's directory.
    """

    def tell(line: str) -> None:
        # Without the head there is nobody to read it either.
        with suppress(Exception):
            key = f"{trials}:{time.time_ns()}:{trial}"
            HeadStore(NAMESPACE).put(key, f"trial {trial}: {line}")

    return tell


class Notices:
    """Listens for such lines while the study runs.

    Args:
        trials: the address of the study's `trials/`.
        show: given each line, by a thread.
    """

    def __init__(self, trials: str, show: Callable[[str], None] = print_line) -> None:
        self._prefix = f"{trials}:"
        self._show = show
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="notices", daemon=True)
        self._thread.start()

    def on_event(self, event: object, trial: object) -> None:
        """Nothing: what became of a trial is in the journal."""

    def close(self) -> None:
        """Shows what has come by now."""
        self._over.set()
        self._thread.join()

    def _listen(self) -> None:
        while not self._over.wait(EVERY_SECONDS):
            self._look()
        self._look()

    def _look(self) -> None:
        with suppress(Exception):
            for line in HeadStore(NAMESPACE).take(self._prefix):
                self._show(one_line(line))
