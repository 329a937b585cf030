"""`--checkpoint-budget`: the bytes that all checkpoints of a study may use at any time.

The quota is divided before the first trial. Each running trial has a share, which it keeps by
itself: it writes a checkpoint to the node's own disk first, so that its size is known, and deletes
older ones before it uses the storage. The remainder is for trials that have ended, whose
checkpoints the driver deletes in the order of `callbacks.retention`. So no process has to ask
another one while a trial runs.

It counts the bytes of files in `trials/`; not `best/`, which is a copy.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pydantic import ByteSize, TypeAdapter, ValidationError
from rich.filesize import decimal

CHECKPOINTS_PER_TRIAL = 3
"""Number of checkpoints of a running trial: the best, the latest, and one being written."""

SIZE_MARGIN = 1.1
"""Factor for checkpoints of other configurations, which may be larger than those measured."""


@dataclass
class Quota:
    """Division of the quota between running and ended trials.

    Args:
        total: bytes of all trials together.
        running: number of trials that may run at once, or wait with their checkpoints.
    """

    total: int
    running: int = 1
    per_trial: int = 0
    """Bytes of a running trial; 0 before `divide`."""

    @property
    def ended(self) -> int:
        """Bytes of all ended trials together."""
        return self.total - self.running * self.per_trial

    def divide(self, running: int, checkpoint: int | None = None) -> None:
        """Divide the quota for `running` trials at once.

        Args:
            running: number of trials at once.
            checkpoint: bytes of one checkpoint; if unknown, half of the quota is for running
                trials.

        Raises:
            ValueError: the quota cannot hold the checkpoints of these and the best ended one.
        """
        self.running = running
        if checkpoint is None:
            self.per_trial = self.total // (2 * running)
            return
        needed = (CHECKPOINTS_PER_TRIAL * running + 1) * checkpoint
        if needed > self.total:
            raise ValueError(
                f"--checkpoint-budget {decimal(self.total)}: {running} trials at once, with "
                f"checkpoints of {decimal(checkpoint)}, need {decimal(needed)} "
                f"({CHECKPOINTS_PER_TRIAL} each, and the best one): give as much, or "
                "a smaller --max-concurrent"
            )
        spared = int(CHECKPOINTS_PER_TRIAL * checkpoint * SIZE_MARGIN)
        self.per_trial = min(spared, (self.total - checkpoint) // running)


def parse_bytes(text: str) -> int:
    """Return 10000000000 for `10GB`, 10737418240 for `10GiB`; raise a ValueError if it is no
    size."""
    try:
        if re.fullmatch(r"\d+(\.\d+)? ?([kKMGTP]i?)?B?", text.strip()):
            amount = int(TypeAdapter(ByteSize).validate_python(text))
            if amount > 0:
                return amount
    except ValidationError:
        pass
    raise ValueError(
        f"--checkpoint-budget must be a number with kB, MB, GB or TB (powers of 1000) or KiB, MiB, "
        f"GiB or TiB (of 1024), such as 10GB, got {text!r}"
    )
