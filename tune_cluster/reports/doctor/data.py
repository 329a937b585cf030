"""Data: was it what was asked for, has a part samples of another, does the metric suit it?"""

from __future__ import annotations

from collections.abc import Iterator

from tune_cluster.reports.doctor.finding import Advice, Finding
from tune_cluster.reports.doctor.trials import ranked
from tune_cluster.study.stored import StoredStudy

HIDDEN = 0.2
"""Largest difference of accuracy and macro recall: above it small classes are wrong, and the
accuracy hides it."""

LEAKED, MOSTLY = 0.01, 0.1
"""Shares of the samples of a part that another part has too: largest one without a warning, and
largest one without a failure."""


def data(study: StoredStudy) -> Iterator[Finding]:
    """Yield findings about the dataset, samples in two of its parts, and the balance of classes."""
    yield _dataset(study)
    yield _leakage(study)
    yield _balance(study)


def _dataset(study: StoredStudy) -> Finding:
    notice = study.about["dataset"]["notice"].strip()
    fallback = notice.startswith("THIS STUDY RUNS ON")
    return Finding(
        check="dataset",
        verdict="fail" if fallback else "pass",
        evidence=notice.partition("\n")[0] or "the dataset that was asked for",
        rule="a study runs on the dataset that was asked for",
        advice=(Advice(text="bring the dataset, and run it again"),) if fallback else (),
    )


def _leakage(study: StoredStudy) -> Finding:
    shares = study.about.get("leakage", {})
    worst, share = max(shares.items(), key=lambda pair: pair[1], default=("", 0.0))
    verdict = "fail" if share > MOSTLY else "warn" if share > LEAKED else "pass"
    seen = ", ".join(f"{name} {of:.1%}" for name, of in shares.items())
    return Finding(
        check="leakage",
        verdict=verdict,  # type: ignore[arg-type]
        evidence=(
            f"samples of a part that are in another part too: {seen}"
            if shares
            else "the content of the dataset was not looked at"
        ),
        rule=(
            f"at most {LEAKED:.0%} of the samples of a part are in another one: a model is tested "
            "on what it has seen (Barz and Denzler 2020, *Do We Train on Test Data?*)"
        ),
        advice=(
            (Advice(text=f"leave out the copies ({worst}), and run it again"),)
            if verdict != "pass"
            else ()
        ),
        numbers=tuple((name, round(of, 4)) for name, of in shares.items()),
    )


def _balance(study: StoredStudy) -> Finding:
    trials = ranked(study)
    best = trials[0] if trials else None
    metrics = best.results[best.best.epoch] if best and best.best else {}
    accuracy, recall = metrics.get("val_accuracy"), metrics.get("val_recall")
    hidden = (
        study.state.objective.metric == "val_accuracy"
        and accuracy is not None
        and recall is not None
        and accuracy - recall > HIDDEN
    )
    seen = "no accuracy with a recall is reported"
    if accuracy is not None and recall is not None:
        seen = f"the best trial has accuracy {accuracy:.3f} and macro recall {recall:.3f}"
    return Finding(
        check="imbalance",
        verdict="fail" if hidden else "pass",
        evidence=seen,
        rule=f"accuracy is at most {HIDDEN:g} above macro recall: else small classes are wrong",
        advice=(
            (
                Advice(
                    text="compare by macro F1, and weigh the classes",
                    fix=("class_weights=balanced",),
                    flags=(("--metric", "val_f1"),),
                ),
            )
            if hidden
            else ()
        ),
    )
