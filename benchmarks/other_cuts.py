"""Other ways to choose how hard rungs cut, for a comparison with ours (`lcbench.py`).

Rungs lie where ours do, or twice as dense, and the grace period decides itself; what differs is the
share of the trials at a rung that goes on. It is fixed, the same at all rungs, or set by the study
anew with every value that is compared, by the trials that went on from the rung and have come to
the next one or to their end:

- By agreement: the share of their pairs that both rungs have in one order. Where it is 3 of 4, the
  usual share goes on, which is one in the distance of the rungs; where it is what chance gives,
  twice the odds of that; where it is all, a half of the usual share.
- By containing: the smallest share that contains with a given probability what will be the best
  one at the next rung, of as many trials as are here, if the ranks of the two rungs have the
  correlation that was seen (normal scores, corrected for the selection: Thorndike 1949, case 2).
- By reach: those whose value at the next rung, predicted by a line through those that have come
  there, is at least the best one there with a probability of a twentieth.
- By control: a fifth more where a trial that became the best at the next rung was in the lower half
  of those that went on, a tenth less where it was in the upper half.

As long as fewer than four have come further, the usual share goes on. It is a ninth at least, and
three quarters at most.
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
"""Shares of the trials at a rung that go on."""

ENOUGH = 4
"""Trials that have come further, by which a share is set."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Seen:
    """What a study knows of a rung."""

    usual: float
    """The share that goes on as long as nothing is known."""
    everybody: Floats
    """Sort keys of all trials there, the smaller the better, ascending: [n]."""
    here: Floats
    """Of those that have come further, in the order in which they came to the next rung: [m]."""
    there: Floats
    """Their sort keys at the next rung, or at the end of the trial: [m]."""


Cut = Callable[[Seen], float]
"""The share that goes on, not yet within its bounds."""


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
    # Few trials prove little: as many as four say that it is 0.7.
    weight = len(here) / (len(here) + ENOUGH)
    correlation = weight * correlation + (1 - weight) * 0.7
    # In steps of 0.05 and of a quarter, so that draws are made once.
    steps = round(float(np.clip(correlation, 0, 0.95)) * 20)
    count = round(1.25 ** round(np.log(len(everybody)) / np.log(1.25)))
    return float(np.quantile(_places_of_the_best(steps / 20, count), probability))


@cache
def _places_of_the_best(correlation: float, count: int) -> Floats:
    """Draw 1,000 times where the best one at the next rung was here, as a share of all."""
    rng = np.random.default_rng(0)
    here = rng.standard_normal((1_000, count))
    there = correlation * here + np.sqrt(1 - correlation**2) * rng.standard_normal(here.shape)
    of_best = np.take_along_axis(here, there.argmin(axis=1)[:, None], axis=1)
    places: Floats = (here <= of_best).sum(axis=1) / count
    return places


def reach(seen: Seen) -> float:
    """Return the share of those that may be the best at the next rung."""
    columns = np.column_stack([np.ones(len(seen.here)), seen.here])
    (start, slope), *_ = np.linalg.lstsq(columns, seen.there, rcond=None)
    error = np.sqrt(((columns @ [start, slope] - seen.there) ** 2).sum() / (len(seen.here) - 2))
    likely = start + slope * seen.everybody + norm.ppf(0.05) * error <= seen.there.min()
    return float(likely.mean())


def control(seen: Seen) -> float:
    """Return the share by where the best ones at the next rung have come from."""
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
    """Return a share that no study sets."""
    return share


class Rule(NamedTuple):
    """Of a comparison."""

    spacing: int
    """How many times the epochs of a rung the next one has; one in so many usually goes on."""
    cut: Cut
    usual: float | None = None
    """The share as long as nothing is known, if it is another one."""


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
"""By the name of a scheduler."""


@dataclass
class SetRung(Rung):
    """A rung with a share of its own."""

    share: float = field(kw_only=True)

    def going_on(self, factor: int) -> int:
        """Return how many of the best go on, whatever the factor."""
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
        """Compare the value as `Rungs` do, by the shares that are known until then."""
        if epoch in self.rungs:
            stations = [*self.in_use, self.max_epochs]
            for at, ahead in zip(self.in_use, stations[1:], strict=True):
                self._shared[at].share = self._share(self.rungs[at], ahead)
        return super().report(trial, epoch, value)

    def _share(self, rung: Rung, ahead: int) -> float:
        """Return the share that goes on from a rung, by trials that have come to one ahead."""
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
    """ASHA whose rungs cut as hard as a rule says.

    Args:
        max_epochs: of a trial that is not stopped.
        rule: how far rungs are apart, and what goes on.
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
