"""How many trials diverge or fail, and where?"""

from __future__ import annotations

from collections.abc import Iterator

from search_spaces.values import short
from tune_cluster.reports.doctor.boundaries import search_text
from tune_cluster.reports.doctor.finding import PLAYBOOK, Advice, Finding
from tune_cluster.reports.doctor.trials import blamed, is_number, ranked, top
from tune_cluster.study.stored import StoredStudy

SHARE = 0.2
"""Largest share of the trials that may diverge or fail."""

ALL_FAILED = 0.5
"""Share from which a study teaches little about its space."""

RATE = "learning_rate"

EDGE_RULE = (
    "no learning rate from which on nearly all trials diverge, with the best trials just below it "
    f"({PLAYBOOK}, 'How can optimization failures be debugged and mitigated?')"
)

NEARLY_ALL = 0.8
"""Share of the trials above a learning rate that counts as all."""

FEWEST_ABOVE = 3
"""Smallest number of diverged trials above the learning rate."""

EXPLODED = 10.0
"""Factor above the lower quartile of the training losses of an epoch from which a trial is as good
as diverged; most of the trials may be."""

RULE = (
    f"at most {SHARE:.0%} of the trials diverge, fail or explode, to {EXPLODED:g} times the loss "
    f"of the better ones ({PLAYBOOK}, 'infeasible points')"
)

NEAR = 3.0
"""Factor below the learning rate within which the best trials are just below it."""


def infeasible(study: StoredStudy) -> Iterator[Finding]:
    """Yield the share of infeasible trials, and the learning rate at which they begin."""
    trials = [trial for trial in study.state.trials.values() if trial.ended]
    bad = blamed(study)
    exploded = _exploded(study) - {trial.index for trial in bad}
    share = (len(bad) + len(exploded)) / len(trials) if trials else 0.0
    verdict = "fail" if share > ALL_FAILED else "warn" if share > SHARE else "pass"
    reasons = sorted({trial.reason.partition("\n")[0] for trial in bad if trial.reason})
    why = f": {reasons[0]}" if len(reasons) == 1 else ""
    more = f", and the losses of {len(exploded)} more exploded" if exploded else ""
    onset = _onset(study)
    near = 0 if onset is None else _just_below(study, onset[0])
    at_the_edge = onset is not None and near >= 0.5 * len(top(ranked(study)))
    advice: tuple[Advice, ...] = ()
    if verdict != "pass" and not at_the_edge:
        advice = _without(study, onset) or (
            Advice(text="read the reasons (tune-cluster show STUDY --where status=failed)"),
        )
    yield Finding(
        check="infeasible",
        verdict=verdict,  # type: ignore[arg-type]
        evidence=f"{len(bad)} of {len(trials)} trials diverged or failed{more} ({share:.0%}){why}",
        rule=RULE,
        advice=advice,
        numbers=(("share", round(share, 4)),),
    )
    if onset is not None and at_the_edge:
        rate, count = onset
        yield Finding(
            check="divergence edge",
            verdict="warn",
            evidence=(
                f"from a {RATE} of {short(rate)} on nearly all trials diverge or explode "
                f"({count}), and {near} of the best trials are just below it: the best rate may be "
                "cut off"
            ),
            rule=EDGE_RULE,
            advice=(
                Advice(
                    text="let the rate rise in a warm-up, and clip the gradient",
                    fix=("epochs_warmup=1", "grad_clip_norm=1.0"),
                ),
            ),
            numbers=(("rate", rate), ("diverged_above", count)),
        )


def _onset(study: StoredStudy) -> tuple[float, int] | None:
    """Return the learning rate from which on nearly all trials are infeasible, diverged or with
    really bad losses, and how many are; None if there is none."""
    rates = _rates(study)
    bad = ({trial.index for trial in blamed(study)} | _exploded(study)) & set(rates)
    for lowest in sorted(rates[index] for index in bad):
        above = [index for index, rate in rates.items() if rate >= lowest]
        count = len(bad & set(above))
        if count >= NEARLY_ALL * len(above):
            return (lowest, count) if count >= FEWEST_ABOVE else None
    return None


def _exploded(study: StoredStudy) -> set[int]:
    """Return the trials with a training loss far above that of the better ones in their first
    epoch: an epoch later it would be infinite."""
    first = {
        trial.index: float(loss)
        for trial in study.state.trials.values()
        if is_number(loss := trial.results.get(1, {}).get("train_loss"))
    }
    usual = sorted(first.values())[len(first) // 4] if first else 0.0
    return {trial for trial, loss in first.items() if loss > EXPLODED * usual > 0}


def _rates(study: StoredStudy) -> dict[int, float]:
    return {
        trial.index: float(rate)
        for trial in study.state.trials.values()
        if trial.ended and isinstance(rate := trial.config.get(RATE), (int, float)) and rate > 0
    }


def _just_below(study: StoredStudy, lowest: float) -> int:
    """Return how many of the best trials are just below a learning rate."""
    rates = _rates(study)
    best = [rates[trial.index] for trial in top(ranked(study)) if trial.index in rates]
    return sum(lowest / NEAR <= rate < lowest for rate in best)


def _without(study: StoredStudy, onset: tuple[float, int] | None) -> tuple[Advice, ...]:
    """Return the advice to leave out the learning rates that are infeasible; none without an onset
    within a range."""
    if onset is None:
        return ()
    return tuple(
        Advice(
            text=f"search {RATE} below {short(onset[0])} alone: nearly all trials above it diverge",
            search=(search_text(parameter, parameter["low"], onset[0]),),
        )
        for parameter in study.about["space"]["parameters"]
        if parameter["name"] == RATE
        and "condition" not in parameter
        and "low" in parameter
        and parameter["low"] < onset[0] < parameter["high"]
    )
