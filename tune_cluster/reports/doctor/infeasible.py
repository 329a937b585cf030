"""How many trials diverge or fail, and where?"""

from __future__ import annotations

from collections.abc import Iterator

from search_spaces.values import short
from tune_cluster.reports.doctor.finding import PLAYBOOK, Advice, Finding
from tune_cluster.reports.doctor.trials import blamed, ranked, top
from tune_cluster.study.stored import StoredStudy

SHARE = 0.2
"""Largest share of the trials that may diverge or fail."""

ALL_FAILED = 0.5
"""Share from which a study teaches little about its space."""

RATE = "learning_rate"

RULE = f"at most {SHARE:.0%} of the trials diverge or fail ({PLAYBOOK}, 'infeasible points')"

EDGE_RULE = (
    "no learning rate from which on nearly all trials diverge, with the best trials just below it "
    f"({PLAYBOOK}, 'How can optimization failures be debugged and mitigated?')"
)

NEARLY_ALL = 0.8
"""Share of the trials above a learning rate that counts as all."""

FEWEST_ABOVE = 3
"""Smallest number of diverged trials above the learning rate."""

NEAR = 3.0
"""Factor below the learning rate within which the best trials are just below it."""


def infeasible(study: StoredStudy) -> Iterator[Finding]:
    """Yield the share of infeasible trials, and the learning rate at which they begin."""
    trials = [trial for trial in study.state.trials.values() if trial.ended]
    bad = blamed(study)
    share = len(bad) / len(trials) if trials else 0.0
    verdict = "fail" if share > ALL_FAILED else "warn" if share > SHARE else "pass"
    reasons = sorted({trial.reason.partition("\n")[0] for trial in bad if trial.reason})
    why = f": {reasons[0]}" if len(reasons) == 1 else ""
    edge = _edge(study)
    advice: tuple[Advice, ...] = ()
    if verdict != "pass" and edge is None:
        advice = (Advice(text="read the reasons (tune-cluster show STUDY --where status=failed)"),)
    yield Finding(
        check="infeasible",
        verdict=verdict,  # type: ignore[arg-type]
        evidence=f"{len(bad)} of {len(trials)} trials diverged or failed ({share:.0%}){why}",
        rule=RULE,
        advice=advice,
        numbers=(("share", round(share, 4)),),
    )
    if edge is not None:
        rate, count, near = edge
        yield Finding(
            check="divergence edge",
            verdict="warn",
            evidence=(
                f"above a {RATE} of {short(rate)} nearly all trials diverge ({count}), and {near} "
                "of the best trials are just below it: the best rate may be cut off by divergence"
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


def _edge(study: StoredStudy) -> tuple[float, int, int] | None:
    """Return the learning rate above which nearly all trials are infeasible, how many are, and how
    many of the best trials are just below it; None if there is none."""
    rates = {
        trial.index: float(rate)
        for trial in study.state.trials.values()
        if trial.ended and isinstance(rate := trial.config.get(RATE), (int, float)) and rate > 0
    }
    bad = {trial.index for trial in blamed(study)} & set(rates)
    best = [trial for trial in top(ranked(study)) if trial.index in rates]
    if len(bad) < FEWEST_ABOVE or not best:
        return None
    for lowest in sorted(rates[index] for index in bad):
        above = [index for index, rate in rates.items() if rate >= lowest]
        if len(bad & set(above)) < NEARLY_ALL * len(above):
            continue
        count = len(bad & set(above))
        near = sum(lowest / NEAR <= rates[trial.index] < lowest for trial in best)
        if count >= FEWEST_ABOVE and near >= 0.5 * len(best):
            return lowest, count, near
        return None
    return None
