"""`--checkpoint-budget`: the bytes that all checkpoints of a study may take, at any moment.

The quota is divided before the first trial. Each trial that runs has a share, which it holds by
itself: it writes a checkpoint to the node's own disk first, so that its size is known, and drops
what has to go before it takes any of the storage. What the shares leave is for the trials that have
ended, whose checkpoints the driver drops in the order of `callbacks.retention`. So nobody has to
ask anybody while a trial runs.

It is the bytes of files in `trials/`; not `best/`, which is a copy.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pydantic import ByteSize, TypeAdapter, ValidationError
from rich.filesize import decimal

CHECKPOINTS_PER_TRIAL = 3
"""Of a running trial: the best, the latest, and the one that is being written."""

SIZE_MARGIN = 1.1
"""Checkpoints of other configurations may be a little larger than those that were measured."""


@dataclass
class Quota:
    """What the checkpoints of a study may take.

    Args:
        total: bytes, of all trials together.
        running: trials that may run at once, or wait with their checkpoints.
    """

    total: int
    running: int = 1
    per_trial: int = 0
    """Bytes of one that runs; 0 before `divide`."""

    @property
    def ended(self) -> int:
        """Bytes of all those that have ended, together."""
        return self.total - self.running * self.per_trial

    def divide(self, running: int, checkpoint: int | None = None) -> None:
        """Says what is whose, for so many trials at once; a ValueError if the quota cannot hold
        what these need, and the best one that has ended.

        Args:
            checkpoint: bytes of one checkpoint; where nobody knows, half of the quota is for those
                that run.
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
    """10000000000 for `10GB`, 10737418240 for `10GiB`; a ValueError if it is no amount of bytes."""
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
