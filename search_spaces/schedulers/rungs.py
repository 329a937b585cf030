"""The rungs of ASHA: who goes on, who is stopped, and why. Knows neither Ray nor a clock.

It is asynchronous successive halving (Li et al. 2020, *A System for Massively Parallel
Hyperparameter Tuning*, with η the reduction factor and r the grace period). There are three rules
for a trial that reaches a rung as one of n:

- `promotion`: it goes on if it is among the best ⌊n/η⌋, itself included, else it is stopped; but as
  soon as later trials have brought it among them, it is promoted, and goes on from its checkpoint,
  before any new trial begins (algorithm 2). Nobody goes on before there are η to compare, so that
  it takes η^k trials until one has passed k rungs.
- `top`: it goes on if it is among the best max(1, ⌊n/η⌋), else it is stopped for good. The first
  goes on, the second one only if it beats the first.
- `ray`: it goes on if it is no worse than the percentile 1 - 1/η of those before it, as in Ray
  Tune's `AsyncHyperBandScheduler`: a good trial is compared with others alone, the first goes on.

A trial is at a rung with its first report at or past it: one that reports every 10th epoch comes to
the rung of epoch 9 with its tenth, and never to those of 1 and 3. Of equal trials the first to
arrive is the better one; `ray` lets all of them go on that are as good as the percentile.

Where nobody has fixed the grace period, the lowest rung is asked first whether it ranks trials at
all. It lets `UNSELECTED` trials go on whatever their rank; all others go by the rule. When these
have come to the next rung, or to the last epoch, the two are compared: of all pairs of trials with
a value at both, the share that both have in the same order. A pair of which the rung has chosen
both says nothing, so that one of them has to be unselected. Where the first four agree in half of
their pairs, which is what chance gives, it is asked by four more. From a share of `AGREEMENT` on
the rung is used as any other, and no rung above it is asked. Below it the rung is left out: all its
trials go on, those to come pass it, and the rung above is asked in the same way, by
`UNSELECTED_LATER` trials; and so on to the top. A trial that has ended by itself counts at the next
rung with its last value; in place of one that has failed the next trial is unselected. At the rung
above, trials that the rule would not have let come are compared, but add nothing to n, unless the
rung is left out.

Each rung keeps its trials sorted: a report and a promotion cost the search in a sorted list.
`benchmarks/rules.py` compares them and others on recorded curves; the default came out.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations, islice
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from search_spaces.objective import Mode, Objective
from search_spaces.trial_events import AGREEMENT, Decision, Promoted, RungJudged

UNSELECTED = 4
"""Trials that the lowest rung lets go on whatever their rank, while it is asked."""

UNSELECTED_LATER = 2
"""Those of a rung that is asked after a lower one was left out: others have come further too."""

RungRule: TypeAlias = Literal["promotion", "top", "ray"]

Place: TypeAlias = tuple[float, int, int]
"""Sort key of a value, the smaller the better, number of the arrival, and trial."""

Cutoff: TypeAlias = tuple[float | None, bool]
"""The sort key of the worst value that goes on, None where nobody does, and whether the trial is
stopped."""


@dataclass
class Rung:
    """The trials that have reached a rung."""

    places: dict[int, Place] = field(default_factory=dict)
    """By trial."""
    passed: set[int] = field(default_factory=set)
    """Trials that have gone on."""
    ranking: list[Place] = field(default_factory=list)
    """Of all, the best first."""
    stopped: list[Place] = field(default_factory=list)
    """Of those that were stopped here and have not gone on, the best first."""
    used: bool | None = None
    """What was judged of it; None as long as nothing was. One that is not used lets all pass."""
    excused: set[int] = field(default_factory=set)
    """Trials that have gone on while it was asked, and by the rule would have been stopped."""
    below: Rung | None = field(default=None, compare=False, repr=False)
    """The next lower one."""

    @property
    def compares(self) -> bool:
        """Whether a trial with a value has come to it."""
        return bool(self.ranking) and self.ranking[0][0] < math.inf

    def going_on(self, factor: int) -> int:
        """How many of the best go on: one in `factor` of all that have come by their rank. Those
        that the rung below has excused are compared, but do not make room for another one."""
        below, guests = self.below, 0
        if below is not None and below.used is not False:
            best = below.going_on(factor)
            guests = sum(
                trial in self.places and bisect_left(below.ranking, below.places[trial]) >= best
                for trial in below.excused
            )
        return (len(self.ranking) - guests) // factor

    def waits(self, trial: int) -> bool:
        """Whether a trial that has reached this rung was stopped here, and has not gone on."""
        at = bisect_left(self.stopped, self.places[trial])
        return self.stopped[at : at + 1] == [self.places[trial]]

    def add(self, trial: int, key: float) -> int:
        """Add a trial; return its rank from 0."""
        place = (key, len(self.places), trial)
        rank = bisect_left(self.ranking, place)
        self.ranking.insert(rank, place)
        self.places[trial] = place
        return rank

    def stop(self, trial: int) -> None:
        """Let a trial wait that has reached this rung."""
        insort(self.stopped, self.places[trial])

    def let_pass(self, trial: int) -> None:
        """Let a trial go on."""
        self.passed.add(trial)
        if trial in self.places and self.waits(trial):
            del self.stopped[bisect_left(self.stopped, self.places[trial])]


def _best_share(rung: Rung, place: Place, factor: int, least: int = 0) -> Cutoff:
    going_on = max(least, rung.going_on(factor))
    cutoff = rung.ranking[going_on - 1] if going_on else None
    return cutoff and cutoff[0], cutoff is None or place > cutoff


def _percentile(rung: Rung, place: Place, factor: int) -> Cutoff:
    # Ray does not know of failed trials, which come last, nor of this one. Its values are the
    # larger the better; where many are equal a rounding decides, so it is computed as there.
    others = [-other[0] for other in rung.ranking if other != place and other[0] < math.inf]
    if not others:
        return place[0], False
    cutoff = -float(np.percentile(others, (1 - 1 / factor) * 100))
    return cutoff, place[0] > cutoff


class Rule(NamedTuple):
    """Who goes on from a rung."""

    help: str
    """For a person, after "Who goes on: "."""
    cutoff: Callable[[Rung, Place, int], Cutoff]
    """Of a trial that has just come to a rung, by the reduction factor."""
    promotes: bool = False
    """Whether a stopped trial goes on as soon as it is among the best ⌊n/η⌋."""


RULES: dict[RungRule, Rule] = {
    "promotion": Rule("the best third, from its checkpoint as soon as it is", _best_share, True),
    "top": Rule("at once or never", partial(_best_share, least=1)),
    "ray": Rule("by Ray Tune's own rule", _percentile),
}
"""To add one is a name above and an entry here."""

HELPS = [f"{rule.help} ({name})" for name, rule in RULES.items()]
RULES_HELP = f"Who goes on: {', or '.join(HELPS)}."


def _in_order(pairs: Iterable[tuple[tuple[float, float], tuple[float, float]]]) -> list[bool]:
    """Of each pair of trials, each with its keys at two stations, whether these have one order."""
    return [
        (a < b, a > b) == (a_there < b_there, a_there > b_there)
        for (a, a_there), (b, b_there) in pairs
    ]


@dataclass
class Rungs:
    """The memory of ASHA: for each rung, the value of every trial that has reached it.

    Raises:
        ValueError: a grace period, reduction factor or number of epochs that gives no rungs.
    """

    max_epochs: int
    grace_period: int = 1
    reduction_factor: int = 3
    mode: Mode = "max"
    rule: RungRule = "promotion"
    adaptive: bool = False
    """Whether rungs are asked, the lowest first, before they are used."""
    ends: dict[int, float] = field(init=False)
    """By trial that has ended by itself, the sort key of its last value; infinite if it failed."""
    rungs: dict[int, Rung] = field(init=False)
    """By epochs, ascending; the last epoch of a trial is not one of them."""

    def __post_init__(self) -> None:
        if self.reduction_factor < 2:
            raise ValueError(f"reduction_factor must be at least 2, got {self.reduction_factor}")
        if not 1 <= self.grace_period <= self.max_epochs:
            raise ValueError(
                f"grace_period must be from 1 to the {self.max_epochs} epochs of a trial, "
                f"got {self.grace_period}"
            )
        self._key = Objective("value", self.mode).key
        self.ends = {}
        self.rungs = {}
        rung = self.grace_period
        while rung < self.max_epochs:
            self.rungs[rung] = Rung(below=next(reversed(self.rungs.values()), None))
            rung *= self.reduction_factor

    @property
    def promotes(self) -> bool:
        """Whether a stopped trial may go on later."""
        return RULES[self.rule].promotes

    @property
    def milestones(self) -> list[int]:
        """The rungs in epochs, ascending."""
        return list(self.rungs)

    @property
    def values(self) -> dict[int, dict[int, float]]:
        """By rung, the value of each trial; a failed one has the worst there is, infinite."""
        return {
            epochs: {trial: self._key(key) for trial, (key, _, _) in rung.places.items()}
            for epochs, rung in self.rungs.items()
        }

    def report(self, trial: int, epoch: float, value: float) -> Decision | None:
        """Compare the value that `trial` had after `epoch`; None between two rungs, at a rung that
        is left out, and at one that has compared the trial before.

        Raises:
            ValueError: the value is not finite; a failed trial is told by `report_failure`.
        """
        if not math.isfinite(value):
            raise ValueError(f"trial {trial}: a rung compares finite values only, got {value}")
        reached = max((epochs for epochs in self.in_use if epochs <= epoch), default=None)
        if reached is None or any(
            trial in rung.places for ahead, rung in self.rungs.items() if ahead >= reached
        ):
            return None
        rung = self.rungs[reached]
        rank = rung.add(trial, self._key(value))
        place = rung.places[trial]
        cutoff, stop = RULES[self.rule].cutoff(rung, place, self.reduction_factor)
        if stop and trial in self._unselected(reached):
            rung.excused.add(trial)
            stop = False
        if stop:
            rung.stop(trial)
        else:
            rung.let_pass(trial)
        return Decision(
            trial=trial,
            rung=reached,
            value=value,
            cutoff=None if cutoff is None else self._key(cutoff),
            rank=rank + 1,
            of=len(rung.ranking),
            stop=stop,
        )

    def report_failure(self, trial: int, epoch: float) -> None:
        """Let `trial`, which diverged or failed in `epoch`, come last at the rung ahead."""
        ahead = next((rung for epochs, rung in self.in_use.items() if epochs >= epoch), None)
        if ahead is not None and trial not in ahead.places:
            ahead.add(trial, math.inf)

    def report_end(self, trial: int, value: float | None) -> None:
        """Take in the last value of `trial`, which has ended by itself; None if it failed."""
        finite = value is not None and math.isfinite(value)
        self.ends[trial] = self._key(value) if value is not None and finite else math.inf

    @property
    def in_use(self) -> dict[int, Rung]:
        """The rungs that are not left out."""
        return {epochs: rung for epochs, rung in self.rungs.items() if rung.used is not False}

    @property
    def asked(self) -> int | None:
        """The rung that is asked whether it ranks: the lowest that compares trials, as long as none
        is used for good."""
        if not self.adaptive or any(rung.used for rung in self.rungs.values()):
            return None
        return next((epochs for epochs, rung in self.in_use.items() if rung.compares), None)

    def _unselected(self, epochs: int) -> list[int]:
        """The trials that a rung has let go on, or shall, whatever their rank: the first that came,
        without those that have failed since, and those that it has stopped for good."""
        if epochs != self.asked:
            return []
        rung, ahead = self.rungs[epochs], self._next(epochs)
        known = (
            trial
            for trial, (key, _, _) in rung.places.items()
            if math.inf not in (key, self._key_at(trial, ahead))
            and (self.promotes or not rung.waits(trial))
        )
        return list(islice(known, self._enough(epochs, ahead)))

    def _enough(self, epochs: int, ahead: int) -> int:
        """How many a rung is asked by: twice as many where half of the first ones' pairs agree."""
        if any(rung.used is False for rung in self.rungs.values()):
            return UNSELECTED_LATER
        places = self.rungs[epochs].places
        first = [
            (places[trial][0], key)
            for trial in places
            if places[trial][0] < math.inf
            and (key := self._key_at(trial, ahead)) is not None
            and key < math.inf
        ][:UNSELECTED]
        if len(first) < UNSELECTED:
            return UNSELECTED
        same = _in_order(combinations(first, 2))
        doubtful = 1 - AGREEMENT < sum(same) / len(same) < AGREEMENT
        return 2 * UNSELECTED if doubtful else UNSELECTED

    def _next(self, epochs: int) -> int:
        return next((ahead for ahead in self.rungs if ahead > epochs), self.max_epochs)

    def _key_at(self, trial: int, station: int) -> float | None:
        """The sort key of the first value of `trial` that was compared at or past a station, or of
        its end before it; None if it has not come there."""
        for epochs, rung in self.rungs.items():
            if epochs >= station and trial in rung.places:
                return rung.places[trial][0]
        return self.ends.get(trial)

    def judgement(self) -> RungJudged | None:
        """What is known by now of the rung that is asked; None as long as that is not enough."""
        asked = self.asked
        if asked is None:
            return None
        ahead, unselected = self._next(asked), self._unselected(asked)
        keys = {trial: self._key_at(trial, ahead) for trial in self.rungs[asked].places}
        enough = self._enough(asked, ahead)
        if len(unselected) < enough or any(keys[trial] is None for trial in unselected):
            return None
        compared = [
            (here, there, trial in unselected)
            for trial, (here, _, _) in self.rungs[asked].places.items()
            if here < math.inf and (there := keys[trial]) is not None and there < math.inf
        ]
        same = _in_order((a[:2], b[:2]) for a, b in combinations(compared, 2) if a[2] or b[2])
        agreement = sum(same) / len(same)
        return RungJudged(
            rung=asked,
            next=ahead,
            pairs=len(same),
            agreement=agreement,
            used=agreement >= AGREEMENT,
        )

    def judge(self, judged: RungJudged) -> None:
        """Use a rung from here on, or leave it out."""
        self.rungs[int(judged.rung)].used = judged.used

    def promotable(self) -> Iterator[Promoted]:
        """The stopped trials that are to go on, the highest rung and the best rank first."""
        if not self.promotes:
            return
        for epochs in reversed(self.rungs):
            rung, unselected = self.rungs[epochs], self._unselected(epochs)
            going_on = rung.going_on(self.reduction_factor)
            for place in rung.stopped:
                rank = bisect_left(rung.ranking, place)
                if rank < going_on or rung.used is False or place[2] in unselected:
                    yield Promoted(
                        trial=place[2],
                        rung=epochs,
                        value=self._key(place[0]),
                        rank=rank + 1,
                        of=len(rung.ranking),
                    )
                elif not unselected:
                    break

    def next_promotion(self) -> Promoted | None:
        """The first that is promotable."""
        return next(self.promotable(), None)

    def promote(self, trial: int, rung: float) -> None:
        """Let `trial` go on from `rung`."""
        self.rungs[int(rung)].let_pass(trial)

    def may_continue(self, trials: int) -> tuple[list[int], list[int]]:
        """As `StudyScheduler.may_continue`: the highest rung and the best rank first."""
        within: list[int] = []
        beyond: list[int] = []
        # Any may be left out in the end.
        undecided = self.adaptive and not any(rung.used for rung in self.rungs.values())
        # Whoever comes later can only push it back.
        most = trials // self.reduction_factor
        for rung in reversed(self.rungs.values()):
            for place in rung.stopped if self.promotes else ():
                rank = bisect_left(rung.ranking, place)
                may = undecided or rung.used is False or rank < most
                (within if may else beyond).append(place[2])
        return within, beyond
