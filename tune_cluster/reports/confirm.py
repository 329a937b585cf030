"""The confirmation of a study: its best trials and the defaults, trained again with the same seeds.

`tune-cluster confirm STUDY` trains them as a second study, `STUDY-confirm`, in rounds: each round
trains every candidate that is still in the race with one more seed, and, where the trainable can,
on a split into training and validation data that was never selected on. What is read here is the
journal of that study: `Race` follows its events, and says which candidate a trial trains.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from search_spaces.objective import Objective, shown_value
from search_spaces.trial_events import Event, Suggested
from tune_cluster.reports.beside import is_there, read
from tune_cluster.reports.verdict import Verdict, judge
from tune_cluster.study.events import RoundJudged
from tune_cluster.study.state import StudyState, TrialState
from tune_cluster.study.stored import StoredStudy

CONFIRM = "-confirm"
"""End of the name of the study that confirms another one, beside it."""

CONFIRM_FILE = "confirm.json"

DEFAULTS = "defaults"
"""Name of the candidate with the defaults of the space."""


class Race:
    """The course of a confirmation, by the events of its study.

    Args:
        names: names of the candidates.
        rounds: planned number of rounds.
        objective: objective of the study.
    """

    def __init__(self, names: list[str], rounds: int, objective: Objective) -> None:
        self.rounds = rounds
        self._names = frozenset(names)
        self.state = StudyState(objective)
        self.schedule = [(0, name) for name in names]
        """Round, from 0, and candidate of each trial that is known, by index."""
        self.judged: RoundJudged | None = None
        """The last judgement."""
        self.seeds: dict[int, int] = {}
        """Seed of each round that has begun."""

    def apply(self, event: Event) -> None:
        """Take in an event of the study; raise a ValueError for one that is out of order."""
        self.state.apply(event)
        if isinstance(event, Suggested) and event.trial >= len(self.schedule):
            raise ValueError(f"trial {event.trial} is suggested, and its round has not begun")
        if isinstance(event, Suggested) and event.seed is not None:
            self.seeds.setdefault(self.schedule[event.trial][0], event.seed)
        elif isinstance(event, RoundJudged):
            if event.round != self._complete_rounds():
                raise ValueError(f"round {event.round} is judged, and it is not complete")
            if unknown := {event.best, *event.tied, *event.continuing} - self._names:
                raise ValueError(f"{min(unknown)} is judged, which is no candidate")
            self.judged = event
            self.schedule = [at for at in self.schedule if at[0] < event.round]
            self.schedule += [(event.round, name) for name in event.continuing]

    @property
    def over(self) -> bool:
        """Whether the verdict is final."""
        return (
            self.judged is not None and not self.judged.continuing and self.judged.of >= self.rounds
        )

    @property
    def due(self) -> RoundJudged | None:
        """Judgement that is due: a round is complete, or more rounds are planned than at the last
        one; None if none is."""
        last, whole = self.schedule[-1][0] + 1, len(self.schedule)
        complete = len(self.state.trials) == self.state.ended == whole
        known = self.judged is not None and self.judged.round == last
        if not complete or (known and self.over):
            return None
        found = self.verdict
        assert found is not None, "a round is complete"
        return RoundJudged(
            round=last,
            of=self.rounds,
            best=found.best,
            tied=list(found.tied),
            continuing=list(found.continuing),
        )

    @property
    def values(self) -> dict[str, list[float]]:
        """Value of each candidate in each complete round, by name: at the trial's best epoch, or
        the worst value of a trial that diverged or failed."""
        found: defaultdict[str, list[float]] = defaultdict(list)
        complete = self._complete_rounds()
        for (number, name), trial in zip(self.schedule, self.state.trials.values(), strict=False):
            if number < complete:
                found[name].append(self._value(trial))
        return dict(found)

    @property
    def failed(self) -> list[tuple[str, int, TrialState]]:
        """Candidate, round from 0 and trial of each run that diverged or failed."""
        at = zip(self.schedule, self.state.trials.values(), strict=False)
        return [
            (name, number, trial)
            for (number, name), trial in at
            if trial.ended and self._value(trial) == self.state.objective.worst
        ]

    @property
    def verdict(self) -> Verdict | None:
        """What the complete rounds say; None without one."""
        values = self.values
        return judge(values, self.state.objective, rounds=self.rounds) if values else None

    def _complete_rounds(self) -> int:
        left = [
            number
            for index, (number, _) in enumerate(self.schedule)
            if index not in self.state.trials or not self.state.trials[index].ended
        ]
        return min(left, default=self.schedule[-1][0] + 1)

    def _value(self, trial: TrialState) -> float:
        if trial.best is None or trial.status in ("diverged", "failed"):
            return self.state.objective.worst
        return trial.best.value


@dataclass(frozen=True)
class Confirmation:
    """A confirmation, complete or not."""

    about: dict[str, Any]
    """Content of `study.json` of the study that confirms."""
    race: Race
    candidates: dict[str, dict[str, Any]] = field(init=False)
    """Configuration of each candidate, by name."""

    def __post_init__(self) -> None:
        found = {one["name"]: one["config"] for one in self._confirms["candidates"]}
        object.__setattr__(self, "candidates", found)

    @classmethod
    def of(cls, study: StoredStudy) -> Confirmation | None:
        """Return the confirmation that a study is; None if it has not begun, or is none."""
        confirms = study.about.get("confirms", {})
        if "candidates" not in confirms:
            return None
        names = [one["name"] for one in confirms["candidates"]]
        race = Race(names, confirms["seeds"], study.state.objective)
        for event in study.events:
            race.apply(event)
        return cls(study.about, race)

    @property
    def _confirms(self) -> dict[str, Any]:
        found: dict[str, Any] = self.about["confirms"]
        return found

    @property
    def over(self) -> bool:
        """Whether its verdict is final."""
        return self.race.over

    @property
    def verdict(self) -> Verdict | None:
        """What it says so far; None before the first round is complete."""
        return self.race.verdict

    @property
    def best(self) -> list[str]:
        """Candidates that cannot be told from the best so far, the best first; none before the
        first round is complete, or if all runs of the best have failed."""
        verdict = self.verdict
        if verdict is None or math.isnan(verdict.means[0].mean):
            return []
        return [verdict.best, *verdict.tied]

    @property
    def worse(self) -> list[str]:
        """Candidates that are clearly worse than the best."""
        verdict = self.verdict
        return [] if verdict is None else [one.name for one in verdict.comparisons if one.worse]

    @property
    def rounds(self) -> int:
        """Number of complete rounds."""
        return max(map(len, self.race.values.values()), default=0)

    @property
    def epochs(self) -> int:
        """Epochs of all its trials, without lost ones."""
        return sum(len(trial.results) for trial in self.race.state.trials.values())

    @property
    def summary(self) -> str:
        """What was run, in one sentence."""
        split = (
            "a fresh split of the data" if self._confirms["fresh_split"] else "the script's split"
        )
        most = len(self.candidates) * self.race.rounds
        return (
            f"{self.rounds} of {self.race.rounds} rounds, each with a seed of its own and {split}: "
            f"{len(self.race.state.trials)} of at most {most} trials, {self.epochs} epochs"
        )

    @property
    def notices(self) -> list[str]:
        """Sentences on what limits the verdict."""
        found = [
            f"the run of {name} in round {number + 1} (trial {trial.index} here) has {trial.status}"
            f"{f' ({trial.reason})' if trial.reason else ''}: it counts as worse than every value"
            for name, number, trial in self.race.failed
        ]
        values = [own for own in self.race.values.values() if len(own) > 1]
        if values and all(len(set(own)) == 1 for own in values):
            found.append(
                "no candidate has other values with other seeds: the trainable sets its seed "
                "itself, so that this says nothing on chance"
            )
        return found

    @property
    def sentence(self) -> str:
        """The verdict so far, in one sentence without its end."""
        verdict = self.verdict
        return "no round is complete yet" if verdict is None else verdict.lines()[0][1]

    def lines(self) -> list[tuple[str, str]]:
        """Return the lines for the user: pairs of a label and a text."""
        verdict = self.verdict
        told = [("verdict", self.sentence)]
        return [
            ("confirmed", self.summary),
            *(told if verdict is None else verdict.lines()),
            *(("NOTICE", notice) for notice in self.notices),
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the confirmation as plain JSON."""
        verdict, objective = self.verdict, self.race.state.objective
        return {
            "study": self._confirms["study"],
            "metric": objective.metric,
            "mode": objective.mode,
            "fresh_split": self._confirms["fresh_split"],
            "rounds": {"planned": self.race.rounds, "run": self.rounds},
            "seeds": [self.race.seeds[number] for number in sorted(self.race.seeds)],
            "epochs": self.epochs,
            "candidates": self._confirms["candidates"],
            "values": {
                name: [None if value == objective.worst else value for value in own]
                for name, own in self.race.values.items()
            },
            "failed": [
                {"candidate": name, "round": number + 1, "trial": trial.index,
                 "status": trial.status, "reason": trial.reason}
                for name, number, trial in self.race.failed
            ],
            "verdict": None if verdict is None else verdict.as_json(),
        }  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A candidate at the end of a confirmation, or so far, as texts for a report."""

    name: str
    config: Mapping[str, Any]
    verdict: Literal["best", "tied", "worse"]
    seeds: str
    """Number of its seeds, and of those that failed."""
    mean: str
    """Mean of its values with the interval."""
    difference: str
    """Mean paired difference to the best with its interval; empty for the best."""


def standings(confirmation: Confirmation) -> list[Standing]:
    """Return the candidates, the best first; none before the first round is complete."""
    found = confirmation.verdict
    if found is None:
        return []
    compared = {one.name: one for one in found.comparisons}
    standing = []
    for mean in found.means:
        other = compared.get(mean.name)
        difference = ""
        if other is not None:
            sign = "+" if other.difference > 0 else ""
            difference = sign + _interval(other.difference, other.low, other.high)
        standing.append(
            Standing(
                name=mean.name,
                config=confirmation.candidates[mean.name],
                verdict="best" if other is None else "worse" if other.worse else "tied",
                seeds=f"{mean.n + mean.failed}" + (f", {mean.failed} failed" * bool(mean.failed)),
                mean=_interval(mean.mean, mean.low, mean.high),
                difference=difference,
            )
        )
    return standing


def _interval(value: float, low: float, high: float) -> str:
    if math.isnan(value):
        return "none"
    if math.isnan(low):
        return shown_value(value)
    ends = ", ".join(shown_value(end, like=value) for end in (low, high))
    return f"{shown_value(value)} [{ends}]"


def confirmation_beside(study: str) -> Confirmation | None:
    """Return the confirmation of the study at an address; None without one.

    Raises:
        ValueError: it is damaged.
    """
    address = f"{study.rstrip('/')}{CONFIRM}"
    return Confirmation.of(read(address)) if is_there(address) else None
