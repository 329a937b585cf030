"""Is the best value at the end of a range? Then better ones may lie outside."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from search_spaces.values import short
from tune_cluster.reports.doctor.finding import PLAYBOOK, Advice, Finding
from tune_cluster.reports.doctor.response import place_of, rises_to
from tune_cluster.reports.doctor.trials import ranked, top, with_parameter
from tune_cluster.study.state import TrialState
from tune_cluster.study.stored import StoredStudy

OUTER = 0.1
"""Share of a range, on its scale, at each end that counts as its boundary."""

FEWEST = 8
"""Smallest number of trials with a value: the best of fewer lies at an end by chance."""

DECADES = 1.0
"""Decades by which a range on a log scale moves; a linear range moves by half of its width."""

CHANCE, SURE = 0.2, 0.05
"""Largest probability that as many of the top trials lie there by chance: for a warning, and for a
failure."""

CLOSE = 0.25
"""Share of a range at its end in which the best trials are close to it, if all trials become better
towards it."""

RULE = (
    f"the best trial, or half of the top tenth, is in the outer {OUTER:.0%} of the range on its "
    f"scale ({PLAYBOOK}, 'Identifying bad search space boundaries'), and more of the top than by "
    f"chance (binomial, warn below {CHANCE:g}, fail below {SURE:g}); "
    f"or half of them in the outer {CLOSE:.0%}, and a quadratic surface of all trials still rises "
    "to the end (Box and Wilson 1951)"
)

BOUNDED = {
    "dropout": (0.0, 0.95),
    "label_smoothing": (0.0, 0.9),
    "momentum": (0.0, 0.999),
    "gamma": (0.0, 1.0),
}
"""Limits beyond which a value has no meaning."""


def boundaries(study: StoredStudy) -> Iterator[Finding]:
    """Yield a finding for each searched range with a boundary problem, or one that passes."""
    trials = ranked(study)
    found = []
    if len(trials) >= FEWEST:
        for parameter in study.about["space"]["parameters"]:
            # A range that is only what was tried has the best value of few trials at its end.
            if parameter.get("tried") or "low" not in parameter:
                continue
            if parameter["low"] < parameter["high"]:
                finding = _at_an_end(study, parameter, with_parameter(trials, parameter))
                found += [finding] if finding else []
    yield from found
    if not found:
        seen = f"{len(trials)} trials have a value"
        few = f"; fewer than {FEWEST}: not judged" if len(trials) < FEWEST else ""
        yield Finding(
            check="boundary",
            verdict="pass",
            evidence=f"{seen}; no good trial is at the end of a range{few}",
            rule=RULE,
        )


def _at_an_end(
    study: StoredStudy, parameter: dict[str, Any], trials: Sequence[tuple[TrialState, float]]
) -> Finding | None:
    """Return the finding for the trials that have a hyperparameter, with its value, the best
    first."""
    if not trials:
        return None
    everywhere = [place_of(parameter, value) for _, value in trials]
    count = _top_with_ties([trial for trial, _ in trials])
    for end in ("lower", "upper"):
        # Distance from the end, as a share of the range.
        distances = [place if end == "lower" else 1 - place for place in everywhere]
        best = distances[:count]
        chance, share = _chance(distances, count, OUTER), OUTER
        if chance >= CHANCE and sum(d <= CLOSE for d in best) >= 0.5 * len(best):
            # Few trials may be in the outer part at all: what do all of them say?
            rises = rises_to(end, parameter, [one for one, _ in trials], study)
            if rises is not None and rises < SURE:
                chance, share = max(rises, SURE), CLOSE
        moved = moved_range(parameter, end)
        if chance >= CHANCE or moved is None:
            continue
        near = sum(distance <= share for distance in best)
        text = (
            f"{parameter['name']}: the best trial has {short(trials[0][1])}, and {near} of the "
            f"{len(best)} best trials are in the outer {share:.0%} at the {end} end of "
            f"{short(parameter['low'])} to {short(parameter['high'])}"
        )
        rising = "" if share == OUTER else ", to which the values of all trials become better"
        low, high = moved
        return Finding(
            check="boundary",
            verdict="fail" if chance < SURE else "warn",
            evidence=f"{text}{rising}",
            rule=RULE,
            advice=(
                Advice(
                    text=f"search {parameter['name']} from {short(low)} to {short(high)}",
                    search=(search_text(parameter, low, high),),
                ),
            ),
            numbers=(
                ("place", round(everywhere[0], 3)),
                ("near", near),
                ("top", len(best)),
                ("chance", round(chance, 4)),
            ),
        )
    return None


def _top_with_ties(best_first: Sequence[TrialState]) -> int:
    """Return the number of the best trials: a tenth, and those as good as the last of it, as the
    accuracy of few samples has many."""
    count = len(top(best_first))
    last = best_first[count - 1].best
    tied = (trial.best for trial in best_first[count:])
    return count + sum(
        one is not None and last is not None and one.value == last.value for one in tied
    )


def _chance(distances: Sequence[float], count: int, outer: float) -> float:
    """Return the probability that so many of the best `count` trials are in the outer part of a
    range by chance; 1 if neither the best one nor half of them are."""
    from scipy.stats import binom

    best = distances[:count]
    near = sum(distance <= outer for distance in best)
    if not (best[0] <= outer or near >= 0.5 * len(best)):
        return 1.0
    # A searcher that learns has more of its trials where it expects the best.
    share = max(outer, sum(distance <= outer for distance in distances) / len(distances))
    return float(binom.sf(near - 1, len(best), min(share, 0.5)))


def moved_range(parameter: dict[str, Any], end: str) -> tuple[float, float] | None:
    """Return the range moved over its `end`, so that the best value lies inside; None if the end is
    the limit of what the value can be."""
    low, high = parameter["low"], parameter["high"]
    least, most = BOUNDED.get(parameter["name"], (-math.inf, math.inf))
    if parameter.get("scale") == "log":
        factor = 10**DECADES
        new = (
            (low / factor, high / factor**0.5)
            if end == "lower"
            else (low * factor**0.5, high * factor)
        )
        new = (new[0], new[1]) if new[0] < new[1] else (low, high)
    else:
        half = 0.5 * (high - low)
        # A range from 0, such as a warm-up, has no values below.
        least = 0.0 if low == 0 else least
        new = (low - half, high - half / 2) if end == "lower" else (low + half / 2, high + half)
    new = (max(new[0], least), min(new[1], most))
    if (end == "lower" and new[0] >= low) or (end == "upper" and new[1] <= high):
        return None
    if parameter.get("integer"):
        new = (math.floor(new[0]), math.ceil(new[1]))
        if new[0] < 1 <= low:
            return None
    return new


def search_text(parameter: dict[str, Any], low: float, high: float) -> str:
    """Return a range as `--search` takes it."""
    scale = {(True, False): "log:", (True, True): "logint:", (False, True): "int:"}.get(
        (parameter.get("scale") == "log", bool(parameter.get("integer"))), ""
    )
    under = "".join(
        f" if {name}={','.join(map(short, values))}"
        for name, values in parameter.get("condition", {}).items()
    )
    return f"{parameter['name']}={scale}{low:.4g}:{high:.4g}{under}"
