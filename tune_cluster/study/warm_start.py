"""What a new study takes over from an earlier one: its trials, for a searcher that learns.

They are copied into the new study's journal, so that a resume does not depend on the other study,
which may have grown or gone since.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from search_spaces.objective import Objective
from search_spaces.searchers.learning import LearningSearch
from search_spaces.trial_events import Earlier, Event
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


def learn(strategy: LearningSearch, events: Iterable[Event]) -> str:
    """Tell `strategy` the events `Earlier`; what became of them, for a person to read.

    Trials that are not in this space teach it nothing, nor do those that were not to blame for
    their end.
    """
    told, taken = 0, 0
    studies: dict[str, None] = {}
    for number, event in enumerate(event for event in events if isinstance(event, Earlier)):
        taken += strategy.learned_from(
            f"earlier-{number}", event.config, event.by_epoch(), status=event.status
        )
        told, studies[event.study] = told + 1, None
    return f"{taken} of {told} trials of {', '.join(studies)} are in this space" if told else ""
