"""Is the best value at the end of a range? Then better ones may lie outside."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from search_spaces.values import short
from tune_cluster.reports.doctor.finding import PLAYBOOK, Advice, Finding
from tune_cluster.reports.doctor.trials import ranked, top, with_parameter
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

RULE = (
    f"the best trial, or half of the top tenth, is in the outer {OUTER:.0%} of the range on its "
    f"scale ({PLAYBOOK}, 'Identifying bad search space boundaries'), and more of the top than by "
    f"chance (binomial, warn below {CHANCE:g}, fail below {SURE:g})"
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
                values = [value for _, value in with_parameter(trials, parameter)]
                finding = _at_an_end(parameter, values)
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


def _at_an_end(parameter: dict[str, Any], values: Sequence[float]) -> Finding | None:
    """Return the finding for the values of the trials that have a hyperparameter, the best
    first."""
    if not values:
        return None
    name = parameter["name"]
    from scipy.stats import binom

    everywhere = [place_of(parameter, value) for value in values]
    places = top(everywhere)
    for end, inside in (("lower", lambda u: u <= OUTER), ("upper", lambda u: u >= 1 - OUTER)):
        near = [inside(place) for place in places]
        if not (near[0] or sum(near) >= 0.5 * len(near)):
            continue
        # A searcher that learns has more of its trials where it expects the best.
        share = max(OUTER, sum(map(inside, everywhere)) / len(everywhere))
        chance = float(binom.sf(sum(near) - 1, len(near), min(share, 0.5)))
        if chance >= CHANCE:
            continue
        moved = moved_range(parameter, end)
        if moved is None:
            continue
        low, high = moved
        there = f"{sum(near)} of the {len(near)} best trials are"
        text = (
            f"{name}: the best trial has {short(values[0])}, and {there} in the "
            f"outer {OUTER:.0%} at the {end} end of {short(parameter['low'])} to "
            f"{short(parameter['high'])}"
        )
        return Finding(
            check="boundary",
            verdict="fail" if chance < SURE else "warn",
            evidence=text,
            rule=RULE,
            advice=(
                Advice(
                    text=f"search {name} from {short(low)} to {short(high)}",
                    search=(search_text(parameter, low, high),),
                ),
            ),
            numbers=(
                ("place", round(places[0], 3)),
                ("near", sum(near)),
                ("top", len(near)),
                ("chance", round(chance, 4)),
            ),
        )
    return None


def place_of(parameter: dict[str, Any], value: float) -> float:
    """Return the position of a value in its range, 0 to 1, on its scale."""
    low, high = parameter["low"], parameter["high"]
    if parameter.get("scale") == "log" and value > 0:
        return (math.log(value) - math.log(low)) / (math.log(high) - math.log(low))
    return float((value - low) / (high - low))


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
