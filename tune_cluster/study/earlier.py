"""Trials of an earlier study that a new study learns from.

They are copied to the new study's journal, so that a resume does not depend on the other study,
which may have been extended or deleted.
"""

from __future__ import annotations

from search_spaces.objective import Objective
from search_spaces.trial_events import Earlier
from tune_cluster.study.directory import local_copy
from tune_cluster.study.stored import StoredStudy, read_study


def earlier_trials(study: str, objective: Objective) -> list[Earlier]:
    """Return the ended trials of the study at that address.

    Raises:
        ValueError: there is no study, it has another objective, or its trials repeat or continue
            those of another one, under other conditions.
    """
    directory = local_copy(study)
    stored = read_study(directory, flag="--warm-start")
    theirs = stored.state.objective
    if theirs != objective:
        raise ValueError(
            f"--warm-start {study}: its objective is the {theirs.mode} of {theirs.metric}, that of "
            f"this study the {objective.mode} of {objective.metric}; give a study with the same one"
        )
    for field in ("audits", "confirms"):
        if field in stored.about:
            first = stored.about[field]["study"]
            raise ValueError(f"--warm-start {study}: it {field} another study: give {first}")
    return [*trials_by_index(study, stored).values()]


def trials_by_index(study: str, stored: StoredStudy) -> dict[int, Earlier]:
    """Return the ended trials of a study, without those that its machines have ended.

    Args:
        study: its address.
        stored: the study.
    """
    metric = stored.state.objective.metric
    return {
        trial.index: Earlier(
            study=study,
            config=trial.config,
            values={str(epoch): result[metric] for epoch, result in trial.results.items()},  # type: ignore[misc]
            status=trial.status,  # type: ignore[arg-type]
        )
        for trial in stored.state.trials.values()
        if trial.ended and not trial.infrastructure_failure
    }
