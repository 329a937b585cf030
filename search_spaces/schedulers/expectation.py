"""Expected cost of a study under ASHA, from a simulation before its first trial.

It assumes that epochs of all trials take equal time, and that a trial keeps its rank: if curves
cross, more trials reach the upper rungs.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from search_spaces.objective import Expectation
from search_spaces.schedulers.rungs import Rungs

SIMULATED = 6_400
"""Number of simulated trials, over all repeats."""


def expected(rungs: Rungs, *, trials: int, concurrent: int) -> Expectation:
    """Simulate a study under the rule of `rungs`; return the mean over up to 100 random orders.

    Of a very large study a part is simulated, and scaled to the whole.
    """
    if trials > SIMULATED // 10:
        part = expected(rungs, trials=SIMULATED // 10, concurrent=concurrent)
        times = trials / (SIMULATED // 10)
        reaching = {station: times * count for station, count in part.reaching.items()}
        return Expectation(reaching, times * part.epochs, times * part.makespan)
    repeats = min(100, SIMULATED // trials)
    stations = [*rungs.milestones, rungs.max_epochs]
    reached = dict.fromkeys(stations, 0)
    rng, makespan = np.random.default_rng(0), 0
    for _ in range(repeats):
        order = rng.permutation(trials).tolist()
        fresh = replace(rungs, mode="max")
        for rung, known in zip(fresh.rungs.values(), rungs.rungs.values(), strict=True):
            # Judgements of a resumed study are kept.
            rung.used = known.used
        arrivals = list(simulated(fresh, order, concurrent))
        for station, _ in arrivals:
            reached[station] += 1
        makespan += arrivals[-1][1]
    mean = {station: count / repeats for station, count in reached.items()}
    steps = [here - before for before, here in zip([0, *stations], stations, strict=False)]
    epochs = sum(n * step for n, step in zip(mean.values(), steps, strict=True))
    return Expectation(mean, epochs, makespan / repeats)


def simulated(rungs: Rungs, quality: Sequence[float], concurrent: int) -> Iterator[tuple[int, int]]:
    """Run trials of the given qualities through empty rungs, which stores them there.

    Yields:
        The rung, or the last epoch, each time that a trial reaches one, and the epochs that have
        passed until then.
    """
    stations = [*rungs.milestones, rungs.max_epochs]
    waiting, order = iter(range(len(quality))), itertools.count()
    at = [0] * len(quality)
    """Next station of each trial, by trial."""
    running: list[tuple[int, int, int]] = []
    now = 0

    def go_on(trial: int) -> None:
        ahead = next(station for station in stations if station > at[trial])
        heapq.heappush(running, (now + ahead - at[trial], next(order), trial))
        at[trial] = ahead

    while True:
        while len(running) < concurrent:
            promotion = rungs.next_promotion()
            if promotion is not None:
                rungs.promote(promotion.trial, promotion.rung)
            trial = next(waiting, None) if promotion is None else promotion.trial
            if trial is None:
                break
            go_on(trial)
        if not running:
            return
        now, _, trial = heapq.heappop(running)
        yield at[trial], now
        if at[trial] == rungs.max_epochs:
            rungs.report_end(trial, quality[trial])
        else:
            decision = rungs.report(trial, at[trial], float(quality[trial]))
            if decision is None or not decision.stop:
                go_on(trial)
        while (judged := rungs.judgement()) is not None:
            rungs.judge(judged)
