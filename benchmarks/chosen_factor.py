"""A reduction factor that the study chooses, for a comparison (`lcbench.py`, `fidelity.py`).

As in ASHA the factor η is both the ratio of the epochs of consecutive rungs, and the number of
trials at a rung of which one continues. A study begins with ours. When it has judged the lowest
rung that ranks well enough to be used, it keeps this factor if the agreement is at least a given
one, else the rungs above are replaced by those of half of the distance, from which every second
trial continues.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from search_spaces.schedulers.asha import ASHA
from search_spaces.schedulers.rungs import Rung, Rungs
from search_spaces.trial_events import Decision, RungJudged

DOUBTFUL = 2
"""Factor where the lowest rung that is used ranks less well."""

CHOSEN: Mapping[str, float] = {"factor_75": 0.75, "factor_80": 0.8, "factor_85": 0.85}
"""Agreement from which on the first factor is kept, by the name of a scheduler."""


@dataclass
class ChosenRungs(Rungs):
    """Rungs whose factor the study chooses."""

    sure: float = field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._curves: dict[int, list[tuple[float, float]]] = {}
        """Epochs and sort keys of each trial."""

    def report(self, trial: int, epoch: float, value: float) -> Decision | None:
        """Compare the value as `Rungs`, and keep it for rungs that are set later."""
        self._curves.setdefault(trial, []).append((epoch, self._key(value)))
        return super().report(trial, epoch, value)

    def judge(self, judged: RungJudged) -> None:
        """Use a rung from now on, or leave it out; choose the factor by its agreement."""
        super().judge(judged)
        if not judged.used or judged.agreement >= self.sure:
            return
        self.reduction_factor = DOUBTFUL
        above = [epochs for epochs in self.rungs if epochs > judged.rung]
        waiting = {trial for epochs in above for _, _, trial in self.rungs.pop(epochs).stopped}
        below, epochs = self.rungs[int(judged.rung)], int(judged.rung) * DOUBTFUL
        while epochs < self.max_epochs:
            below = self.rungs[epochs] = Rung(below=below)
            for trial, curve in self._curves.items():
                key = next((key for epoch, key in curve if epoch >= epochs), None)
                if key is not None:
                    below.add(trial, key)
                    below.let_pass(trial)
            epochs *= DOUBTFUL
        for trial in waiting:
            reached = [rung for rung in self.rungs.values() if trial in rung.places][-1]
            reached.passed.discard(trial)
            reached.stop(trial)


class ChosenFactor(ASHA):
    """ASHA with a factor that the study chooses.

    Args:
        max_epochs: epochs of a trial that is not stopped.
        sure: agreement of the lowest rung from which on the first factor is kept.
    """

    def __init__(self, *, max_epochs: int, sure: float) -> None:
        super().__init__(max_epochs=max_epochs)
        self.memory = ChosenRungs(max_epochs, adaptive=True, sure=sure)
