"""Ranges that the best trials do not fill: the next study can search less."""

from __future__ import annotations

from typing import Any

from search_spaces.values import short
from tune_cluster.reports.doctor.boundaries import OUTER, search_text
from tune_cluster.reports.doctor.finding import Advice
from tune_cluster.reports.doctor.response import place_of
from tune_cluster.reports.doctor.trials import ranked, top, with_parameter
from tune_cluster.study.stored import StoredStudy

FEWEST = 5
"""Smallest number of top trials that say where the good values are."""

NARROW = 0.5
"""Largest share of a range, on its scale, that the top trials span for a narrower range."""

MARGIN = 0.15
"""Share of the range that the narrower one is wider on each side."""


def narrowed(study: StoredStudy) -> list[Advice]:
    """Return a narrower range for each hyperparameter whose top tenth of trials lies within half of
    the range, away from its ends."""
    trials, found = ranked(study), []
    for parameter in study.about["space"]["parameters"]:
        if "low" not in parameter or parameter.get("tried"):
            continue
        name = parameter["name"]
        values = [value for _, value in with_parameter(trials, parameter)]
        places = [place_of(parameter, value) for value in top(values)] if values else []
        if len(places) < FEWEST or max(places) - min(places) > NARROW:
            continue
        if min(places) <= OUTER or max(places) >= 1 - OUTER:
            continue
        low = _value_at(parameter, max(0.0, min(places) - MARGIN))
        high = _value_at(parameter, min(1.0, max(places) + MARGIN))
        found.append(
            Advice(
                text=f"search {name} from {short(low)} to {short(high)} alone",
                search=(search_text(parameter, low, high),),
            )
        )
    return found


def _value_at(parameter: dict[str, Any], place: float) -> float:
    low, high = float(parameter["low"]), float(parameter["high"])
    if parameter.get("scale") == "log":
        return float(low * (high / low) ** place)
    found = low + place * (high - low)
    return round(found) if parameter.get("integer") else found
