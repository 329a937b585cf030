"""What a new study takes over from an earlier one: its trials, for a searcher that learns.

They are copied into the new study's journal, so that a resume does not depend on the other study,
which may have grown or gone since.
"""

from __future__ import annotations

from pathlib import Path

from search_spaces.objective import Objective
from search_spaces.trial_events import Earlier
from tune_cluster.study.reading import read_study


def earlier_trials(directory: Path, objective: Objective) -> list[Earlier]:
    """The ended trials of the study in `directory`.

    Raises:
        ValueError: no study is there, or one that looked for something else.
    """
    stored = read_study(directory, flag="--warm-start")
    metric, theirs = objective.metric, stored.state.objective
    if theirs != objective:
        raise ValueError(
            f"--warm-start {directory}: it looked for the {theirs.mode} of {theirs.metric}, "
            f"this study looks for the {objective.mode} of {metric}"
        )
    return [
        Earlier(
            study=str(directory),
            config=trial.config,
            values={str(epoch): result[metric] for epoch, result in trial.results.items()},  # type: ignore[misc]
            status=trial.status,  # type: ignore[arg-type]
        )
        for trial in stored.state.trials.values()
        if trial.ended and not trial.infrastructure_failure
    ]
