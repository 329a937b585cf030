"""Other rules for the share of trials that continues from a rung, for a comparison (`lcbench.py`).

The rungs are ours, or twice as dense, with an adaptive grace period; the rules differ in the share
of the trials at a rung that continues. It is fixed, equal at all rungs, or updated by the study
with every compared value, from the trials that continued from the rung and have reached the next
one or their end:

- By agreement: the share of their pairs that both rungs order alike. At 3 of 4 the usual share
  continues, which is one over the distance of the rungs; at the level of chance, twice the odds of
  that; at full agreement, half of the usual share.
- By containing: the smallest share that contains, with a given probability, the future best trial
  at the next rung, for as many trials as at this rung, if the ranks of the two rungs have the
  observed correlation (normal scores, corrected for the selection: Thorndike 1949, case 2).
- By reach: the trials whose value at the next rung, predicted by a line through those that have
  reached it, is at least the best one there with a probability of a twentieth.
- By control: a fifth more if a trial that became the best at the next rung was in the lower half of
  those that continued, a tenth less if it was in the upper half.

As long as fewer than four trials have reached the next rung, the usual share continues. A share is
at least a ninth, and at most three quarters.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import norm, rankdata

from search_spaces.schedulers.asha import ASHA
from search_spaces.schedulers.rungs import Rung, Rungs
from search_spaces.trial_events import Decision

LEAST, MOST = 1 / 9, 3 / 4
"""Bounds of the share of the trials at a rung that continues."""

ENOUGH = 4
"""Number of trials at the next rung from which on a share is updated."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Seen:
    """A study's knowledge of a rung."""

    usual: float
    """Share that continues as long as nothing is known."""
    everybody: Floats
    """Sort keys of all trials at the rung, smaller is better, ascending: [n]."""
    here: Floats
    """Sort keys of trials that have reached the next rung, in the order of arrival there: [m]."""
    there: Floats
    """Their sort keys at the next rung, or at the end of the trial: [m]."""


Cut = Callable[[Seen], float]
"""Function that returns the share that continues, before its bounds are applied."""


def agreement(seen: Seen) -> float:
    """Return the share by the pairs in one order, beside four of which three agree."""
    first, second = np.triu_indices(len(seen.here), k=1)
    same = np.sign(seen.here[first] - seen.here[second]) == np.sign(
        seen.there[first] - seen.there[second]
    )
    agreed = (same.sum() + 3) / (len(same) + 4)
    more = 2 * seen.usual / (1 + seen.usual)
    return float(np.interp(agreed, (0.5, 0.75, 1.0), (more, seen.usual, seen.usual / 2)))


def containing(seen: Seen, probability: float) -> float:
    """Return the share that contains the best one at the next rung with a probability."""
    everybody = _scores(seen.everybody)
    here = np.interp(seen.here, seen.everybody, everybody)
    there = _scores(seen.there)
    spread = here.std()
    if spread == 0 or there.std() == 0:
        return seen.usual
    among = float(np.corrcoef(here, there)[0, 1])
    wider = float(everybody.std() / spread)
    correlation = among * wider / np.sqrt(1 + among**2 * (wider**2 - 1))
    # Few trials prove little: they are weighted against a prior of 0.7 that counts as four.
    weight = len(here) / (len(here) + ENOUGH)
    correlation = weight * correlation + (1 - weight) * 0.7
    # In steps of 0.05 and of a quarter, so that draws can be cached.
    steps = round(float(np.clip(correlation, 0, 0.95)) * 20)
    count = round(1.25 ** round(np.log(len(everybody)) / np.log(1.25)))
    return float(np.quantile(_places_of_the_best(steps / 20, count), probability))


@cache
def _places_of_the_best(correlation: float, count: int) -> Floats:
    """Draw 1,000 ranks at this rung of the best trial at the next one, as shares of all."""
    rng = np.random.default_rng(0)
    here = rng.standard_normal((1_000, count))
    there = correlation * here + np.sqrt(1 - correlation**2) * rng.standard_normal(here.shape)
    of_best = np.take_along_axis(here, there.argmin(axis=1)[:, None], axis=1)
    places: Floats = (here <= of_best).sum(axis=1) / count
    return places


def reach(seen: Seen) -> float:
    """Return the share of trials that may become the best at the next rung."""
    columns = np.column_stack([np.ones(len(seen.here)), seen.here])
    (start, slope), *_ = np.linalg.lstsq(columns, seen.there, rcond=None)
    error = np.sqrt(((columns @ [start, slope] - seen.there) ** 2).sum() / (len(seen.here) - 2))
    likely = start + slope * seen.everybody + norm.ppf(0.05) * error <= seen.there.min()
    return float(likely.mean())


def control(seen: Seen) -> float:
    """Return the share by the ranks at this rung of the best trials at the next one."""
    share, best = seen.usual, np.inf
    half = np.median(seen.here)
    for here, there in zip(seen.here, seen.there, strict=True):
        if there < best:
            share = float(np.clip(share * (1.2 if here > half else 0.9), LEAST, MOST))
            best = there
    return share


def _scores(values: Floats) -> Floats:
    scores: Floats = norm.ppf((rankdata(values) - 0.5) / len(values))
    return scores


def fixed(seen: Seen, share: float) -> float:
    """Return a fixed share."""
    return share


class Rule(NamedTuple):
    """A rule of the comparison."""

    spacing: int
    """Ratio of the epochs of consecutive rungs; one in this many trials usually continues."""
    cut: Cut
    usual: float | None = None
    """Share as long as nothing is known, if it differs."""


SET: dict[str, Cut] = {
    "agreement": agreement,
    "containing_75": partial(containing, probability=0.75),
    "containing_90": partial(containing, probability=0.9),
    "containing_95": partial(containing, probability=0.95),
    "reach": reach,
    "control": control,
}

CUTS: dict[str, Rule] = {
    **{f"cut_{n}_by_3": Rule(3, partial(fixed, share=1 / n), 1 / n) for n in (2, 4, 6)},
    **{f"cut_{n}_by_2": Rule(2, partial(fixed, share=1 / n), 1 / n) for n in (1.5, 3)},
    **{f"{name}_by_{spacing}": Rule(spacing, SET[name]) for spacing in (3, 2) for name in SET},
}
"""Rules by the name of a scheduler."""


@dataclass
class SetRung(Rung):
    """A rung with a share of its own."""

    share: float = field(kw_only=True)

    def going_on(self, factor: int) -> int:
        """Return how many of the best continue, whatever the factor."""
        return int(super().going_on(1) * self.share + 1e-9)


@dataclass
class SetRungs(Rungs):
    """Rungs whose shares the study sets."""

    cut: Cut = field(kw_only=True)
    usual: float = field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._shared: dict[int, SetRung] = {}
        below: Rung | None = None
        for epochs in self.rungs:
            below = self._shared[epochs] = SetRung(below=below, share=self.usual)
        self.rungs.update(self._shared)

    def report(self, trial: int, epoch: float, value: float) -> Decision | None:
        """Compare the value as `Rungs`, by the current shares."""
        if epoch in self.rungs:
            stations = [*self.in_use, self.max_epochs]
            for at, ahead in zip(self.in_use, stations[1:], strict=True):
                self._shared[at].share = self._share(self.rungs[at], ahead)
        return super().report(trial, epoch, value)

    def _share(self, rung: Rung, ahead: int) -> float:
        """Return the share that continues from a rung, by trials that have reached one ahead."""
        later = self.rungs[ahead].places if ahead in self.rungs else {}
        order: Sequence[int] = [*later, *(trial for trial in self.ends if trial not in later)]
        pairs = [
            (rung.places[trial][0], there)
            for trial in order
            if trial in rung.places
            and (there := self._key_at(trial, ahead)) is not None
            and max(rung.places[trial][0], there) < np.inf
        ]
        if len(pairs) < ENOUGH:
            return self.usual
        here, there = np.array(pairs).T
        everybody = np.array([key for key, _, _ in rung.ranking if key < np.inf])
        share = self.cut(Seen(self.usual, everybody, here, there))
        return float(np.clip(share, LEAST, MOST))


class OtherCuts(ASHA):
    """ASHA with the share of a rule at its rungs.

    Args:
        max_epochs: epochs of a trial that is not stopped.
        rule: spacing of the rungs, and the share that continues.
    """

    def __init__(self, *, max_epochs: int, rule: Rule) -> None:
        super().__init__(max_epochs=max_epochs, reduction_factor=rule.spacing)
        self.memory = SetRungs(
            max_epochs,
            reduction_factor=rule.spacing,
            adaptive=True,
            cut=rule.cut,
            usual=rule.usual or 1 / rule.spacing,
        )
