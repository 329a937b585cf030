"""The answer of a study, in a few sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from search_spaces.objective import shown_value
from search_spaces.trial_events import Result
from search_spaces.values import short
from tune_cluster.duration import duration
from tune_cluster.reports.confirm import Confirmation, standings
from tune_cluster.reports.doctor.finding import Advice, Finding, worst_first
from tune_cluster.reports.doctor.noise import decided, noise_of
from tune_cluster.reports.ray_experiment import OF_RAY_TUNE
from tune_cluster.reports.trial_table import searched
from tune_cluster.study.baselines import Baselines, not_beaten
from tune_cluster.study.stored import StoredStudy


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The first screen of a report."""

    found: str
    """The best configuration and its value, with its spread."""
    sure: str
    """How sure it is."""
    cost: str
    """Cost of the study, and how it ended."""
    next: tuple[Advice, ...]
    """What to do next, the most urgent first."""

    @property
    def sentences(self) -> tuple[str, str, str]:
        """The answer in three sentences."""
        return self.found, self.sure, self.cost


def answer_of(
    study: StoredStudy,
    state: str,
    findings: Sequence[Finding],
    baselines: Baselines | None = None,
    confirmation: Confirmation | None = None,
) -> Answer:
    """Return the answer of a study.

    Args:
        study: the study.
        state: its state, as `overview.state_of` returns it.
        findings: findings of the doctor.
        baselines: scores of simple predictors on its validation set, if there are any.
        confirmation: its confirmation, if there is one.
    """
    urgent = worst_first([one for one in findings if one.verdict != "pass"])
    return Answer(
        found=_found(study),
        sure=" ".join([_sure(study, urgent, confirmation), *_not_beaten(study, baselines or {})]),
        cost=_cost(study, state),
        next=tuple(advice for finding in urgent for advice in finding.advice),
    )


def _found(study: StoredStudy) -> str:
    best, metric = study.state.best, study.state.objective.metric
    if best is None:
        return f"No trial has reported {metric}."
    config = best.trial.config_at(best.epoch)
    values = ", ".join(f"{n}={short(config[n])}" for n in searched(study) if n in config)
    noise = noise_of(study)
    # The deviation between seeds is at least that between late epochs.
    spread = "" if noise is None else f" (± {shown_value(noise, like=best.value)} between epochs)"
    return (
        f"The best is trial {best.trial.index}: {metric} {shown_value(best.value)}{spread} in "
        f"epoch {short(best.epoch)} of {short(best.trial.epochs)}, with "
        f"{values or 'nothing searched'}."
    )


def _sure(study: StoredStudy, urgent: Sequence[Finding], confirmation: Confirmation | None) -> str:
    sure = decided(study)
    words = {
        None: "One study cannot say how far chance has helped it",
        True: "It is ahead of the next that ran as far by more than the noise between its epochs",
        False: "It is not decided against the next that ran as far, which is within the noise",
    }[sure]
    if confirmation is not None and confirmation.over:
        best = standings(confirmation)[0]
        metric = study.state.objective.metric
        words = f"Confirmed: {confirmation.sentence}, with {metric} {best.mean} for {best.name}"
    fails = sum(one.verdict == "fail" for one in urgent)
    warns = len(urgent) - fails
    doctor = "the doctor has found nothing"
    if urgent:
        kinds = ((fails, "failure"), (warns, "warning"))
        parts = [f"{n} {kind}{'' if n == 1 else 's'}" for n, kind in kinds if n]
        doctor = f"the doctor has {' and '.join(parts)}"
    return f"{words}; {doctor}."


def _not_beaten(study: StoredStudy, baselines: Baselines) -> Iterator[str]:
    """Yield a sentence for each predictor that is at least as good as the best trial."""
    best, objective = study.state.best, study.state.objective
    if best is None:
        return
    for name, value in not_beaten(baselines, objective, best.value).items():
        yield f"No trial is better than {name}: {objective.metric} {shown_value(value)}."


def _cost(study: StoredStudy, state: str) -> str:
    trials = study.state.trials.values()
    epochs = sum(isinstance(event, Result) for event in study.events)
    at_work = sum(trial.seconds for trial in trials)
    counts = ", ".join(f"{n} {status}" for status, n in sorted(study.state.counts.items()) if n)
    flags = study.about["flags"]
    price = flags.get("price_per_gpu_hour")
    gpus = float(flags.get("gpus_per_trial") or 0.0)
    money = f", {price * gpus * at_work / 3600:.2f} in money" if price and gpus else ""
    how = {
        "running": "it is running",
        "interrupted": "it was interrupted (tune-cluster resume continues it)",
        "damaged": "its journal is damaged",
        OF_RAY_TUNE: "how it ended is not in its files",
    }
    ended = how.get(state, f"it ended by: {state}")
    return (
        f"It cost {epochs} epochs of {len(study.state.trials)} trials ({counts}), "
        f"{duration(at_work)} of work{money}; {ended}."
    )
