"""Cost of early stopping in a study, estimated from controls: stopped trials that were finished.

`tune-cluster audit STUDY` prints it. The controls are the trials of a second study, `STUDY-audit`,
each of which continues a stopped one; an earlier version had them in the study itself. A trial's
end value is its best over all its epochs, as for the study's best; that of a control includes the
epochs before and after its rung. A control stands for the number of stopped trials per control.

- Killed: how many of the study's best five, if all trials had been trained to the end, were stopped
  by a rung. (The best k, if only k < 5 trials were not stopped.) At least j of the best five were
  stopped if and only if at least j stopped trials would have beaten the trial that is number 6 - j
  among those not stopped. The share among the controls estimates their number, with an interval
  (`early_stopping.bounds`); the range of j within it is the reported interval, of at least 95%.
- Rank correlation: Spearman's, between the value at a rung and the end value, over the trials that
  reached the rung; its interval by bootstrap.
- Epochs saved: the epochs that the stopped trials did not train. Trials that ended by themselves,
  such as diverged ones, are not counted.
- Grace period advised, with at least 30 controls: the smallest at which 90% of those best five were
  among the best 1/reduction_factor of all trials after that many epochs, if all ran at once.

A trial or control that lacked shared memory, or whose process was lost together with others, says
nothing about its configuration and is left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from search_spaces.objective import Objective
from search_spaces.trial_events import Epoch, Event
from tune_cluster.reports.beside import absolute, is_there, read, sibling
from tune_cluster.reports.early_stopping import (
    KEPT,
    TOP,
    Followed,
    advised,
    bootstrapped_rank_correlation,
    killed,
)
from tune_cluster.study.events import Control, ControlEnded, ControlStarted, Drawn
from tune_cluster.study.state import Metrics, Status, StudyState, TrialState

AUDIT = "-audit"
"""End of the name of the study that continues stopped trials of another one, beside it."""

AUDIT_FILE = "audit.json"

ENOUGH_CONTROLS = 30
"""Number of controls for an advice: with 30, a share of 90% is known to about ten points."""

ENOUGH_PAIRS, ENOUGH_CONTROLS_AT_RUNG = 10, 5
"""Trials and controls for a rank correlation: with fewer, the interval would span from no relation
to a perfect one."""


@dataclass
class Continuation:
    """The continuation of a stopped trial that was finished later."""

    status: Status = "pending"
    results: dict[Epoch, Metrics] = field(default_factory=dict)
    """Metrics by epoch."""
    infrastructure_failure: bool = False

    @property
    def ended(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self.status not in ("pending", "running")


def continuations(
    events: Iterable[Event], second: StudyState | None = None
) -> dict[int, Continuation]:
    """Return the continuations of a study's stopped trials, by trial.

    Args:
        events: events of the study, which in an earlier version included the controls.
        second: state of the study that continues its trials, if there is one.
    """
    inside: defaultdict[int, Continuation] = defaultdict(Continuation)
    for event in events:
        if isinstance(event, Drawn) and event.control:
            inside.setdefault(event.trial, Continuation())
        elif isinstance(event, ControlStarted):
            inside[event.trial].status = "running"
        elif isinstance(event, Control):
            inside[event.trial].results[event.epoch] = event.metrics
        elif isinstance(event, ControlEnded):
            inside[event.trial].status = event.status
            inside[event.trial].infrastructure_failure = event.blameless
    if second is None:
        return inside
    # A trial that was not finished in the study is continued in the second one, if at all.
    found = {index: control for index, control in inside.items() if control.ended}
    for trial in second.trials.values():
        if trial.origin is None:
            raise ValueError(f"trial {trial.index} of the audit continues no trial of its study")
        results = {**inside[trial.origin].results, **trial.results}
        found[trial.origin] = Continuation(trial.status, results, trial.infrastructure_failure)
    return found


def audit_of(
    state: StudyState,
    asha: Mapping[str, Any],
    continued: Mapping[int, Continuation],
    to_come: int = 0,
) -> dict[str, Any]:
    """Return the results of the audit as plain JSON.

    Args:
        state: state of the study.
        asha: its rungs, as `study.json` describes them.
        continued: continuations of stopped trials, by trial.
        to_come: number of trials that are to be finished and have not begun.
    """
    trials, objective = list(state.trials.values()), state.objective
    stopped = [trial for trial in trials if trial.status == "stopped"]
    ended = [trial for trial in trials if trial.ended and trial.status != "stopped"]
    drawn = {t.index: continued[t.index] for t in stopped if t.index in continued}
    finished = [index for index, continuation in drawn.items() if continuation.ended]
    counted = [index for index in finished if not drawn[index].infrastructure_failure]
    survivors = [_followed(t, objective) for t in ended if not t.infrastructure_failure]
    survivors = [trial for trial in survivors if trial.values]
    controls = [_followed(state.trials[i], objective, drawn[i]) for i in counted]
    last = int(asha["max_epochs"])
    top = min(TOP, len(survivors))
    if len(controls) < ENOUGH_CONTROLS or top == 0:
        needed = f"too few: {len(controls)} controls, {ENOUGH_CONTROLS} are needed"
        advice = {"too_few": needed if top else "not known: no trial came to its end by itself"}
    else:
        advice = advised(survivors, controls, len(stopped), _decided(asha, state))
    return {
        "metric": objective.metric,
        "trials": len(trials),
        "stopped": len(stopped),
        "controls": len(controls),
        "controls_lost": len(finished) - len(controls),
        "controls_left": len(drawn) - len(finished) + to_come,
        "top": top,
        "killed": killed([t.end for t in survivors], [t.end for t in controls], len(stopped), top),
        "rank_correlation": [
            {"rung": rung, **_correlation(rung, survivors, controls, stopped)}
            for rung in asha["rungs"]
        ],
        "epochs": {
            "run": sum(trial.epochs for trial in trials),
            "saved": sum(last - trial.epochs for trial in stopped),
            "controls": sum(len(continuation.results) for continuation in continued.values()),
        },
        "grace_period": advice,
    }


def audit_lines(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the lines of an audit for the user: pairs of a label and a text."""
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
    cost = f"{advice['epochs']} epochs instead of {advice['epochs_now']}, if all ran at once"
    return f"{advice['advised']} is advised: it keeps {advice['kept']:.0%} ({cost}); {now}"


def _decided(asha: Mapping[str, Any], state: StudyState) -> dict[str, Any]:
    """Return the rungs, with the grace period that the study has chosen if none was given."""
    in_use = [r for r in asha["rungs"] if r not in state.judged or state.judged[r].used]
    first = next(iter(in_use), asha["max_epochs"])
    return {**asha, "grace_period": asha["grace_period"] or first}


def _followed(
    trial: TrialState, objective: Objective, continuation: Continuation | None = None
) -> Followed:
    later = Continuation(trial.status) if continuation is None else continuation
    results = {**later.results, **trial.results}
    values = {
        epoch: -objective.key(value)
        for epoch, metrics in sorted(results.items())
        if (value := metrics.get(objective.metric)) is not None
    }
    return Followed(values, trial.rung, later.status in ("diverged", "failed"))


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
        needed = f"{len(theirs)} controls, {ENOUGH_CONTROLS_AT_RUNG} are needed"
        return {**counts, "too_few": f"too few: {needed}"}
    if counts["trials"] < ENOUGH_PAIRS:
        needed = f"{counts['trials']} trials, {ENOUGH_PAIRS} are needed"
        return {**counts, "too_few": f"too few: {needed}"}
    strata = [
        (np.array([(trial.at(rung), trial.end) for trial in sample]), size)
        for sample, size in ((ours, len(ours)), (theirs, reached))
        if sample
    ]
    found = bootstrapped_rank_correlation(*zip(*strata, strict=True))
    if found is None:
        return {**counts, "too_few": "none: all values are equal"}
    return {**counts, **dict(zip(("value", "low", "high"), found, strict=True))}


def audit(study: str) -> dict[str, Any]:
    """Return the audit of a study, from it and from the study that continues its trials.

    Args:
        study: address of either study.

    Raises:
        ValueError: the study does not exist, is damaged, or has no rungs.
    """
    study = absolute(study)
    first, second = read(study), None
    if "audits" in first.about:
        first, second = read(sibling(study, first.about["audits"]["study"])), first
    elif is_there(f"{study}{AUDIT}"):
        second = read(f"{study}{AUDIT}")
    if "rungs" not in first.about["strategy"]:
        raise ValueError(f"STUDY {study}: it has no rungs that could be audited")
    if second is None:
        return audit_of(first.state, first.about["strategy"], continuations(first.events))
    to_come = max((second.about["flags"].get("trials") or 0) - len(second.state.trials), 0)
    continued = continuations(first.events, second.state)
    return audit_of(first.state, first.about["strategy"], continued, to_come)
