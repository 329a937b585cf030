"""What the rungs of a study have cost: its controls say it, stopped trials that were finished.

A trial's end value is its best over all its epochs, as the study's best is chosen; a control's
over the epochs before and after its rung. A control stands for as many stopped trials as there are
for each control.

- Killed: how many of the study's best five, had all trials run to their end, a rung has stopped.
  (The best k, where only k < 5 trials were not stopped.) At least j of the best five were stopped
  if and only if at least j stopped trials would have beaten the one that is number 6 - j among
  those not stopped; how many would have, the share among the controls says, and with an interval
  (`early_stopping.bounds`). The numbers j that its bounds allow are the interval here, of at least
  95%.
- Rank correlation: Spearman's, of the value at a rung and the end value, over the trials that
  reached the rung; its interval by bootstrap.
- Epochs saved: those that the stopped trials were short of the last one. What ended by itself,
  such as a diverged trial, would have ended there anyway.
- Grace period advised, from 30 controls on: the smallest at which 90% of those best five were
  among the best 1/reduction_factor of all trials after so many epochs, as if all had come at once.

A trial or control that lacked memory which it shared, or whose process was lost beside others, says
nothing of its configuration and is left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from search_spaces.objective import Objective
from tune_cluster.reports.early_stopping import (
    KEPT,
    TOP,
    Followed,
    advised,
    bootstrapped_rank_correlation,
    killed,
)
from tune_cluster.study.state import StudyState, TrialState

ENOUGH_CONTROLS = 30
"""For an advice: with 30, a share of 90% is known to about ten points."""

ENOUGH_PAIRS, ENOUGH_CONTROLS_AT_RUNG = 10, 5
"""For a rank correlation: fewer leave an interval from no relation at all to a perfect one."""


def audit_of(state: StudyState, asha: Mapping[str, Any]) -> dict[str, Any]:
    """What the controls say, as plain JSON.

    Args:
        state: of the study.
        asha: its rungs, as `study.json` describes them.
    """
    trials, objective = list(state.trials.values()), state.objective
    stopped = [trial for trial in trials if trial.status == "stopped"]
    ended = [trial for trial in trials if trial.ended and trial.status != "stopped"]
    drawn = [trial for trial in stopped if trial.control is not None and not trial.control_left]
    survivors = [_followed(t, objective) for t in ended if not t.infrastructure_failure]
    survivors = [trial for trial in survivors if trial.values]
    controls = [_followed(t, objective) for t in drawn if not t.control_infrastructure_failure]
    last = int(asha["max_epochs"])
    left = sum(trial.control_left for trial in stopped)
    top = min(TOP, len(survivors))
    if len(controls) < ENOUGH_CONTROLS or top == 0:
        needed = f"too few: {len(controls)} controls, {ENOUGH_CONTROLS} are needed"
        advice = {"too_few": needed if top else "not known: no trial came to its end by itself"}
    else:
        advice = advised(survivors, controls, len(stopped), asha)
    return {
        "metric": objective.metric,
        "trials": len(trials),
        "stopped": len(stopped),
        "controls": len(controls),
        "controls_lost": len(drawn) - len(controls),
        "controls_left": left,
        "top": top,
        "killed": killed([t.end for t in survivors], [t.end for t in controls], len(stopped), top),
        "rank_correlation": [
            {"rung": rung, **_correlation(rung, survivors, controls, stopped)}
            for rung in asha["rungs"]
        ],
        "epochs": {
            "run": sum(trial.epochs for trial in trials),
            "saved": sum(last - trial.epochs for trial in stopped),
            "controls": sum(len(trial.control_results) for trial in trials),
        },
        "grace_period": advice,
    }


def audit_lines(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """An audit for a person to read: lines of a name and a text."""
    controls, epochs, lines = found["controls"], found["epochs"], []
    text = f"{controls} of {found['stopped']} stopped trials were finished"
    for name, what in (("controls_left", "are still to be"), ("controls_lost", "were lost")):
        text += f", {found[name]} {what}" if found[name] else ""
    lines.append(("controls", text))
    top, cost = f"top {'five' if found['top'] == TOP else found['top']}", found["killed"]
    text = f"not known how many of the {top}: no control has ended"
    if found["top"] == 0:
        text = "not known: no trial came to its end by itself"
    elif cost is not None:
        interval = f"95% interval {cost['low']} to {cost['high']}"
        text = f"{cost['estimate']:.1f} of the {top}, had all run to their end ({interval})"
    lines.append(("rungs killed", text))
    for at in found["rank_correlation"]:
        text = at.get("too_few") or (
            f"{at['value']:.2f} (95% interval {at['low']:.2f} to {at['high']:.2f}; {at['trials']} "
            f"trials, {at['controls']} of them controls)"
        )
        lines.append((f"rung {at['rung']}", f"rank correlation with the end: {text}"))
    everything = epochs["run"] + epochs["saved"]
    text = f"{epochs['saved']} of the {everything} that running everything would have taken; "
    lines.append(("epochs saved", f"{text}the controls took {epochs['controls']} of them back"))
    lines.append(("grace period", _advice(found["grace_period"], top)))
    return lines


def _advice(advice: Mapping[str, Any], top: str) -> str:
    if "too_few" in advice:
        return str(advice["too_few"])
    now = f"{advice['now']} keeps {advice['kept_now']:.0%} of the {top} at its first rung"
    if advice["advised"] is None:
        return f"{now}, and none keeps {KEPT:.0%}: do without early stopping"
    if advice["advised"] == advice["now"]:
        return f"{now}: leave it"
    cost = f"{advice['epochs']} epochs instead of {advice['epochs_now']}, were all to come at once"
    return f"{advice['advised']} is advised: it keeps {advice['kept']:.0%} ({cost}); {now}"


def _followed(trial: TrialState, objective: Objective) -> Followed:
    results = {**trial.results, **trial.control_results}
    values = {
        epoch: -objective.key(value)
        for epoch, metrics in sorted(results.items())
        if (value := metrics.get(objective.metric)) is not None
    }
    status = trial.status if trial.control is None else trial.control
    return Followed(values, trial.rung, status in ("diverged", "failed"))


def _correlation(
    rung: int,
    survivors: Sequence[Followed],
    controls: Sequence[Followed],
    stopped: Sequence[TrialState],
) -> dict[str, Any]:
    reached = sum(trial.epochs >= rung for trial in stopped)
    ours = [trial for trial in survivors if trial.reached(rung)]
    theirs = [trial for trial in controls if trial.rung is not None and trial.rung >= rung]
    counts = {"trials": len(ours) + len(theirs), "controls": len(theirs)}
    if reached and len(theirs) < ENOUGH_CONTROLS_AT_RUNG:
        return {
            **counts,
            "too_few": f"too few: {len(theirs)} controls, {ENOUGH_CONTROLS_AT_RUNG} are needed",
        }
    if counts["trials"] < ENOUGH_PAIRS:
        return {
            **counts,
            "too_few": f"too few: {counts['trials']} trials, {ENOUGH_PAIRS} are needed",
        }
    strata = [
        (np.array([(trial.at(rung), trial.end) for trial in sample]), size)
        for sample, size in ((ours, len(ours)), (theirs, reached))
        if sample
    ]
    found = bootstrapped_rank_correlation(*zip(*strata, strict=True))
    if found is None:
        return {**counts, "too_few": "none: all values are equal"}
    return {**counts, **dict(zip(("value", "low", "high"), found, strict=True))}
