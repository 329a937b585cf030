"""What a new study takes over from an earlier one: its trials, for a searcher that learns.

They are copied into the new study's journal, so that a resume does not depend on the other study,
which may have grown or gone since.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from search_spaces.searchers.learning import LearningSearch
from tune_cluster.study.journal import Event, trials_from
from tune_cluster.study.reading import read_study


def earlier_trials(directory: Path, metric: str, mode: str) -> list[Event]:
    """The ended trials of the study in `directory`, as events `earlier`.

    Raises:
        ValueError: no study is there, or one that looked for something else.
    """
    stored, events = read_study(directory, flag="--warm-start")
    if (stored["metric"], stored["mode"]) != (metric, mode):
        raise ValueError(
            f"--warm-start {directory}: it looked for the {stored['mode']} of {stored['metric']}, "
            f"this study looks for the {mode} of {metric}"
        )
    return [
        {
            "event": "earlier",
            "study": str(directory),
            "config": trial.config,
            "values": {str(epoch): result[metric] for epoch, result in trial.results.items()},
            "status": trial.status,
        }
        for trial in trials_from(events).values()
        if trial.ended and not trial.blameless
    ]


def learn(strategy: LearningSearch, events: Iterable[Event]) -> str:
    """Tells `strategy` the events `earlier`; what became of them, for a person to read.

    Trials that are not in this space teach it nothing, nor do those that were not to blame for
    their end.
    """
    told, taken = 0, 0
    studies: dict[str, None] = {}
    for number, event in enumerate(event for event in events if event["event"] == "earlier"):
        values = {float(epoch): value for epoch, value in event["values"].items()}
        taken += strategy.learned_from(
            f"earlier-{number}", event["config"], values, status=event["status"]
        )
        told, studies[event["study"]] = told + 1, None
    return f"{taken} of {told} trials of {', '.join(studies)} are in this space" if told else ""
