"""What early stopping has cost, from the trials that it stopped and that were finished later.

`tune_cluster.reports.audit` says what the figures mean, and how a study comes to them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tune_cluster.reports.sampling import bounds

TOP = 5

KEPT = 0.9
"""The share of the best that a grace period has to let through to be advised."""


@dataclass(frozen=True)
class Followed:
    """A trial of which it is known how it ends."""

    values: Mapping[int | float, float]
    """By epoch, the larger the better."""
    rung: float | None
    """That stopped it, if it is a control."""
    failed: bool

    @property
    def end(self) -> float:
        """The best of its values."""
        return max(self.values.values())

    def at(self, epoch: float) -> float:
        """What a rung after `epoch` would have compared: the first value at or past it; of one
        that had ended before, its last value, or the worst if it failed."""
        if self.reached(epoch):
            return self.values[min(known for known in self.values if known >= epoch)]
        return self.values[max(self.values)] if self.values and not self.failed else -np.inf

    def reached(self, epoch: float) -> bool:
        """Whether it has come to `epoch`."""
        return max(self.values, default=0) >= epoch


def killed(
    survivors: Sequence[float], controls: Sequence[float], stopped: int, top: int
) -> dict[str, float] | None:
    """How many of the best `top` ends are among the stopped trials; None if nothing is known.

    Args:
        survivors: end values of the trials that no rung stopped, the larger the better.
        controls: of the controls.
        stopped: trials that the controls were drawn from.
        top: at most as many as `survivors`.
    """
    if top == 0 or (stopped and not controls):
        return None
    ranked = sorted(survivors, reverse=True)
    low = high = 0
    for count in range(1, top + 1):
        better = sum(value > ranked[top - count] for value in controls)
        least, most = bounds(better, len(controls), stopped)
        low = count if least >= count else low
        high = count if most >= count else high
    share = top_shares(survivors, controls, stopped, top)[len(survivors) :]
    return {"estimate": float(sum(share)), "low": low, "high": high}


def top_shares(
    survivors: Sequence[float], controls: Sequence[float], stopped: int, top: int
) -> list[float]:
    """How many of the best `top` each survivor and each control stands for, in their order."""
    each = stopped / len(controls) if controls else 0.0
    weights = [1.0] * len(survivors) + [each] * len(controls)
    ends = [*survivors, *controls]
    shares, room = [0.0] * len(ends), float(top)
    # Of equals the survivor is first: the other one has not beaten it.
    for place in sorted(range(len(ends)), key=lambda at: (-ends[at], at)):
        shares[place] = min(weights[place], room)
        room -= shares[place]
    return shares


def advised(
    survivors: Sequence[Followed],
    controls: Sequence[Followed],
    stopped: int,
    asha: Mapping[str, Any],
) -> dict[str, Any]:
    """The grace period that the ends of all trials advise, and what it would cost.

    Args:
        survivors: trials that no rung stopped, at least one.
        controls: stopped trials that were finished, at least one.
        stopped: trials that the controls were drawn from.
        asha: the rungs, as `study.json` describes them.
    """
    factor, last, now = asha["reduction_factor"], asha["max_epochs"], asha["grace_period"]
    known = [*survivors, *controls]
    weights = np.array([1.0] * len(survivors) + [stopped / len(controls)] * len(controls))
    top = min(TOP, len(survivors))
    ends = [t.end for t in survivors], [t.end for t in controls]
    shares = np.array(top_shares(*ends, stopped, top))
    trials = len(survivors) + stopped

    def kept(epoch: int) -> float:
        values = np.array([trial.at(epoch) for trial in known])
        better = np.array([weights[values > value].sum() for value in values])
        through = 1 + better <= max(1.0, trials / factor) + 1e-9
        return float(shares[through].sum() / shares.sum())

    found: dict[str, Any] = {
        "now": now,
        "kept_now": kept(now),
        "epochs_now": epochs_at_once(trials, now, factor, last),
        "advised": next((e for e in candidates(factor, last) if kept(e) >= KEPT), None),
    }
    if found["advised"] is not None:
        found["kept"] = kept(found["advised"])
        found["epochs"] = epochs_at_once(trials, found["advised"], factor, last)
    return found


def candidates(factor: int, last: int) -> list[int]:
    """Grace periods in half steps of the rungs' scale: 1, 2, 3, 5, 9, … for a factor of 3."""
    found, step = [], 0
    while (epoch := round(factor ** (step / 2))) < last:
        found.append(epoch)
        step += 1
    return list(dict.fromkeys(found))


def epochs_at_once(trials: int, grace_period: int, factor: int, last: int) -> int:
    """Epochs of `trials` that all come to a rung before the first of them goes on."""
    total, alive, at, rung = 0.0, float(trials), 0, grace_period
    while at < last:
        here = min(rung, last)
        total += alive * (here - at)
        alive, at, rung = max(1.0, alive / factor), here, rung * factor
    return round(total)
