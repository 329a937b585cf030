"""The rungs of ASHA: which trials continue, which are stopped, and why. Knows no Ray and no clock.

This is asynchronous successive halving (Li et al. 2020, *A System for Massively Parallel
Hyperparameter Tuning*, with η the reduction factor and r the grace period). Three rules decide
about a trial that reaches a rung as one of n:

- `promotion`: the trial continues if it is among the best ⌊n/η⌋, itself included, else it is
  stopped. As soon as later trials bring it among them, it is promoted and resumes from its
  checkpoint, before any new trial begins (algorithm 2). No trial continues before there are η to
  compare, so that η^k trials are needed until one has passed k rungs.
- `top`: the trial continues if it is among the best max(1, ⌊n/η⌋), else it is stopped for good.
  The first trial continues, the second one only if it beats the first.
- `ray`: the trial continues if it is no worse than the percentile 1 - 1/η of those before it, as in
  Ray Tune's `AsyncHyperBandScheduler`: a trial is not compared with itself, the first continues.

A trial reaches a rung with its first report at or past it: a trial that reports every 10th epoch
reaches the rung of epoch 9 with its tenth, and never those of 1 and 3. Of equal trials the first to
arrive is the better one; `ray` lets all trials continue that are as good as the percentile.

Without a given grace period, the lowest rung is tested first: does it rank trials as the next rung
does? It lets `UNSELECTED` trials continue whatever their rank; all others follow the rule. Once
these have reached the next rung, or the last epoch, the two are compared: agreement is the share of
pairs of trials, with a value at both rungs, that both rungs order alike. A pair of trials that the
rung has both selected carries no information, so at least one of a pair must be unselected. If the
first four agree in half of their pairs, as expected by chance, four more are unselected. With an
agreement of at least `AGREEMENT` the rung is used as any other, and no rung above it is tested.
Below that the rung is left out: all its trials continue, later trials pass it, and the next rung is
tested in the same way with `UNSELECTED_LATER` trials; and so on to the top. A trial that has ended
by itself counts at the next rung with its last value; a failed one is replaced by the next
unselected trial. Trials that the rule would have stopped are compared at the next rung, but do not
count in its n, unless the lower rung is left out.

Each rung keeps its trials sorted: a report or a promotion costs a search in a sorted list.
`benchmarks/rules.py` compares the rules on recorded curves; the default is its result.
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
"""Number of trials that the lowest rung lets continue whatever their rank, while it is tested."""

UNSELECTED_LATER = 2
"""Number of these trials of a higher rung, tested after a lower one was left out: more trials reach
it."""

RungRule: TypeAlias = Literal["promotion", "top", "ray"]

Place: TypeAlias = tuple[float, int, int]
"""Sort key of a value, smaller is better; number of the arrival; trial."""

Cutoff: TypeAlias = tuple[float | None, bool]
"""Sort key of the worst value that continues, None if no trial does; and whether the trial is
stopped."""


@dataclass
class Rung:
    """The trials that have reached a rung."""

    places: dict[int, Place] = field(default_factory=dict)
    """Sort key of each trial, by trial."""
    passed: set[int] = field(default_factory=set)
    """Trials that have continued."""
    ranking: list[Place] = field(default_factory=list)
    """Sort keys of all trials, the best first."""
    stopped: list[Place] = field(default_factory=list)
    """Sort keys of the trials that were stopped here and have not continued, the best first."""
    used: bool | None = None
    """Result of the test; None before it. A rung that is not used lets all trials pass."""
    excused: set[int] = field(default_factory=set)
    """Trials that the rule would have stopped, but that continued during the test."""
    below: Rung | None = field(default=None, compare=False, repr=False)
    """Next lower rung."""

    @property
    def compares(self) -> bool:
        """Whether a trial with a finite value has reached the rung."""
        return bool(self.ranking) and self.ranking[0][0] < math.inf

    def going_on(self, factor: int) -> int:
        """Return how many of the best continue: one in `factor` of the trials that were selected.

        Trials that the rung below has excused are compared, but do not add to the number.
        """
        below, guests = self.below, 0
        if below is not None and below.used is not False:
            best = below.going_on(factor)
            guests = sum(
                trial in self.places and bisect_left(below.ranking, below.places[trial]) >= best
                for trial in below.excused
            )
        return (len(self.ranking) - guests) // factor

    def waits(self, trial: int) -> bool:
        """Return whether a trial was stopped at this rung and has not continued."""
        at = bisect_left(self.stopped, self.places[trial])
        return self.stopped[at : at + 1] == [self.places[trial]]

    def add(self, trial: int, key: float) -> int:
        """Add a trial; return its rank, counted from 0."""
        place = (key, len(self.places), trial)
        rank = bisect_left(self.ranking, place)
        self.ranking.insert(rank, place)
        self.places[trial] = place
        return rank

    def stop(self, trial: int) -> None:
        """Stop a trial that has reached this rung."""
        insort(self.stopped, self.places[trial])

    def let_pass(self, trial: int) -> None:
        """Let a trial continue."""
        self.passed.add(trial)
        if trial in self.places and self.waits(trial):
            del self.stopped[bisect_left(self.stopped, self.places[trial])]


def _best_share(rung: Rung, place: Place, factor: int, least: int = 0) -> Cutoff:
    going_on = max(least, rung.going_on(factor))
    cutoff = rung.ranking[going_on - 1] if going_on else None
    return cutoff and cutoff[0], cutoff is None or place > cutoff


def _percentile(rung: Rung, place: Place, factor: int) -> Cutoff:
    # Ray knows neither failed trials, which come last here, nor this trial. Its values are
    # larger-is-better; where many are equal a rounding decides, so it is computed as in Ray.
    others = [-other[0] for other in rung.ranking if other != place and other[0] < math.inf]
    if not others:
        return place[0], False
    cutoff = -float(np.percentile(others, (1 - 1 / factor) * 100))
    return cutoff, place[0] > cutoff


class Rule(NamedTuple):
    """A rule by which trials continue from a rung."""

    help: str
    """Text for the help, after "Which trials continue: "."""
    cutoff: Callable[[Rung, Place, int], Cutoff]
    """Cut-off for a trial that has just reached a rung, by the reduction factor."""
    promotes: bool = False
    """Whether a stopped trial is promoted as soon as it is among the best ⌊n/η⌋."""


RULES: dict[RungRule, Rule] = {
    "promotion": Rule(
        "the best third, resumed from its checkpoint as soon as it is among them", _best_share, True
    ),
    "top": Rule("at once or never", partial(_best_share, least=1)),
    "ray": Rule("by Ray Tune's own rule", _percentile),
}
"""Rules by name. A new rule needs a name in `RungRule` and an entry here."""

HELPS = [f"{rule.help} ({name})" for name, rule in RULES.items()]
RULES_HELP = f"Which trials continue: {', or '.join(HELPS)}."


def _in_order(pairs: Iterable[tuple[tuple[float, float], tuple[float, float]]]) -> list[bool]:
    """Return for each pair of trials, given by their keys at two rungs, whether both rungs order it
    alike."""
    return [
        (a < b, a > b) == (a_there < b_there, a_there > b_there)
        for (a, a_there), (b, b_there) in pairs
    ]


@dataclass
class Rungs:
    """The state of ASHA: for each rung, the value of every trial that has reached it.

    Raises:
        ValueError: grace period, reduction factor and number of epochs give no rungs.
    """

    max_epochs: int
    grace_period: int = 1
    reduction_factor: int = 3
    mode: Mode = "max"
    rule: RungRule = "promotion"
    adaptive: bool = False
    """Whether rungs are tested, the lowest first, before they are used."""
    ends: dict[int, float] = field(init=False)
    """Sort key of the last value of each trial that has ended by itself; infinite if it failed."""
    rungs: dict[int, Rung] = field(init=False)
    """Rungs by epoch, ascending; the last epoch of a trial is not one of them."""

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
        """Whether a stopped trial can be promoted."""
        return RULES[self.rule].promotes

    @property
    def milestones(self) -> list[int]:
        """Epochs of the rungs, ascending."""
        return list(self.rungs)

    @property
    def values(self) -> dict[int, dict[int, float]]:
        """Values by rung and trial; a failed trial has the worst value, infinite."""
        return {
            epochs: {trial: self._key(key) for trial, (key, _, _) in rung.places.items()}
            for epochs, rung in self.rungs.items()
        }

    def report(self, trial: int, epoch: float, value: float) -> Decision | None:
        """Compare the value that `trial` had after `epoch`.

        Returns:
            The decision; None between two rungs, at a rung that is left out, and at one that has
            compared the trial before.

        Raises:
            ValueError: the value is not finite; a failed trial goes to `report_failure`.
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
        """Rank `trial`, which diverged or failed in `epoch`, last at its next rung."""
        ahead = next((rung for epochs, rung in self.in_use.items() if epochs >= epoch), None)
        if ahead is not None and trial not in ahead.places:
            ahead.add(trial, math.inf)

    def report_end(self, trial: int, value: float | None) -> None:
        """Take in the last value of `trial`, which has ended by itself; None if it failed."""
        finite = value is not None and math.isfinite(value)
        self.ends[trial] = self._key(value) if value is not None and finite else math.inf

    @property
    def in_use(self) -> dict[int, Rung]:
        """Return the rungs that are not left out."""
        return {epochs: rung for epochs, rung in self.rungs.items() if rung.used is not False}

    @property
    def asked(self) -> int | None:
        """Return the rung that is being tested: the lowest that compares trials, as long as none is
        used for good."""
        if not self.adaptive or any(rung.used for rung in self.rungs.values()):
            return None
        return next((epochs for epochs, rung in self.in_use.items() if rung.compares), None)

    def _unselected(self, epochs: int) -> list[int]:
        """Return the trials that a rung lets continue whatever their rank: the first to arrive,
        without those that have failed since and those that it has stopped for good."""
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
        """Return the number of trials for the test: twice as many if half of the pairs agree."""
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
        """Return the sort key of the first compared value of `trial` at or past a rung, or of its
        end before it; None if it has not come there."""
        for epochs, rung in self.rungs.items():
            if epochs >= station and trial in rung.places:
                return rung.places[trial][0]
        return self.ends.get(trial)

    def judgement(self) -> RungJudged | None:
        """Return the result of the test in progress; None as long as it lacks trials."""
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
        """Use a rung from now on, or leave it out."""
        self.rungs[int(judged.rung)].used = judged.used

    def promotable(self) -> Iterator[Promoted]:
        """Yield the stopped trials that are due for promotion, highest rung and best rank first."""
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
        """Return the first trial that is due for promotion."""
        return next(self.promotable(), None)

    def promote(self, trial: int, rung: float) -> None:
        """Let `trial` continue from `rung`."""
        self.rungs[int(rung)].let_pass(trial)

    def may_continue(self, trials: int) -> tuple[list[int], list[int]]:
        """Return `StudyScheduler.may_continue`: the highest rung and the best rank first."""
        within: list[int] = []
        beyond: list[int] = []
        # Any of them may be left out in the end.
        undecided = self.adaptive and not any(rung.used for rung in self.rungs.values())
        # Later trials can only push it back.
        most = trials // self.reduction_factor
        for rung in reversed(self.rungs.values()):
            for place in rung.stopped if self.promotes else ():
                rank = bisect_left(rung.ranking, place)
                may = undecided or rung.used is False or rank < most
                (within if may else beyond).append(place[2])
        return within, beyond
