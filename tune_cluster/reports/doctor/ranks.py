"""Do the rungs rank trials as the end does, and what may they have stopped?"""

from __future__ import annotations

import math
from collections.abc import Iterator

from search_spaces.trial_events import AGREEMENT
from tune_cluster.reports.doctor.finding import Advice, Finding
from tune_cluster.study.stored import StoredStudy

FEWEST = 6
"""Smallest number of trials with a value at a rung and at the last epoch."""

CORRELATION = 0.4
"""Smallest rank correlation (Spearman) of a rung with the last epoch."""

RULE = (
    "the trials that ran on have at a rung the order that they have at the end, a rank correlation "
    f"of {CORRELATION:g} (Li et al. 2020, *Massively Parallel Hyperparameter Tuning*, assume one); "
    f"a study leaves a rung out below an agreement of {AGREEMENT:.0%}"
)


def ranks(study: StoredStudy) -> Iterator[Finding]:
    """Yield a finding for each rung that was used."""
    from scipy.stats import spearmanr

    metric, found = study.state.objective.metric, []
    trials = list(study.state.trials.values())
    last = max((trial.epochs for trial in trials), default=0)
    for rung in study.about["strategy"].get("rungs", []):
        judged = study.state.judged.get(rung)
        pairs = [
            (float(at), float(end))
            for trial in trials
            if (at := trial.results.get(rung, {}).get(metric)) is not None
            and (end := trial.results.get(last, {}).get(metric)) is not None
            and math.isfinite(float(at))
            and math.isfinite(float(end))
        ]
        if rung >= last or len(pairs) < FEWEST or len({b for _, b in pairs}) < 2:
            continue
        correlation = float(spearmanr(*zip(*pairs, strict=True)).statistic)
        if not math.isfinite(correlation) or correlation >= CORRELATION:
            continue
        if judged is not None and not judged.used:
            continue
        later = [r for r in study.about["strategy"]["rungs"] if r > rung]
        found.append(
            Finding(
                check="ranks",
                verdict="warn",
                evidence=(
                    f"rung {rung} does not rank: over {len(pairs)} trials its rank correlation "
                    f"with epoch {last} is {correlation:.2f}; it may have stopped good trials"
                ),
                rule=RULE,
                advice=(
                    Advice(
                        text=f"stop no trial before epoch {later[0] if later else last}; see what "
                        "it has cost: tune-cluster audit STUDY --share 0.1",
                        flags=(("--grace-period", str(later[0] if later else last)),),
                    ),
                ),
                numbers=(("rung", rung), ("correlation", round(correlation, 3))),
            )
        )
    yield from found
    if not found:
        rungs = study.about["strategy"].get("rungs", [])
        yield Finding(
            check="ranks",
            verdict="pass",
            evidence="every rung that was used ranks" if rungs else "no trial is stopped at a rung",
            rule=RULE,
        )
