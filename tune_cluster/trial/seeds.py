"""The random generators of a trial's process: Python's, NumPy's and torch's.

Each trial has a seed, from the study's seed and its index alone. The generators are seeded with it
whenever the trial begins: in a process of its own, in one that another trial has used, after a
restart and in a resumed study. So a split or an initialization that is drawn first is the same
after a resume. A trainable that is to go on with the stream where it was saves the generators'
state in its checkpoint, or seeds them itself.
"""

from __future__ import annotations

import random
import sys
from typing import Any

import numpy as np
import wrapt


def trial_seed(study_seed: int, index: int) -> int:
    """Return the seed of a trial's random streams, below 2^31."""
    return int(np.random.SeedSequence([study_seed, index]).generate_state(1)[0] >> 1)


class Generators:
    """Seeds the generators of this process; torch's, if it is imported only later, then.

    A trainable that does without torch is spared its import, 1.4 s and 660 MB.
    """

    def __init__(self) -> None:
        self._seed = 0
        if "torch" not in sys.modules:
            wrapt.register_post_import_hook(self._seed_torch, "torch")

    def seed(self, seed: int) -> None:
        """Seed all of them, those of GPUs too."""
        self._seed = seed
        random.seed(seed)
        np.random.seed(seed)
        if "torch" in sys.modules:
            self._seed_torch(sys.modules["torch"])

    def _seed_torch(self, torch: Any) -> None:
        torch.manual_seed(self._seed)
