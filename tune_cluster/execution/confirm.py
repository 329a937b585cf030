"""The confirmation of a study: a second study, which trains its best configurations again.

It is stored beside the first, as `NAME-confirm`, and resumed by the script of the first. Each round
trains every candidate that is still in the race with the same seed, to the end, and a trainable
with `takes_split_seed` on the same fresh split; then the candidates are judged. Candidates are
chosen once, when it begins; seeds of rounds are those of trials that no study has. The first study
is only read.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from search_spaces.objective import EarlierCost
from search_spaces.searchers.base import StudySearcher
from search_spaces.space import Space
from search_spaces.trial_events import SEEDS_OF_TRIALS, Event
from search_spaces.values import Value
from tune_cluster.callbacks.base import Callback
from tune_cluster.callbacks.console import spelled
from tune_cluster.execution.options import MOST_TRIALS, Options
from tune_cluster.execution.ray_tune.translation import Translated
from tune_cluster.execution.result import StudyResult
from tune_cluster.execution.second_study import check_ready, create, of_this
from tune_cluster.execution.summary import program, typed
from tune_cluster.execution.tuner import Tuner
from tune_cluster.plain_text import argument, one_line
from tune_cluster.reports.beside import absolute, is_there, name_in, read, sibling
from tune_cluster.reports.confirm import CONFIRM, CONFIRM_FILE, DEFAULTS, Confirmation, Race
from tune_cluster.reports.overview import is_held
from tune_cluster.storage.checkpoints import checkpoint_sizes, dirname_of
from tune_cluster.storage.store import SCHEME, Store
from tune_cluster.study.directory import TRIALS, StudyDirectory, local_copy
from tune_cluster.study.journal import JOURNAL
from tune_cluster.study.state import StudyState
from tune_cluster.study.stored import StoredStudy
from tune_cluster.study.study_file import read_study_file, write_json, write_study_file
from tune_cluster.trial.process import trial_seed

TOP, SEEDS = 5, 5
"""Number of best trials, and of rounds, if none is given."""

MOST = 100
"""Largest number of either."""


class Candidates(StudySearcher):
    """The candidates of a confirmation, round by round.

    Args:
        space: space of the study.
        configs: configuration of each candidate, by name.
        race: course of the confirmation.
        costs: costs of the candidates in the study, as far as they are known.
        study_seed: seed of the study.
        in_config: names under which a configuration has the seed of its round.
    """

    follows_study = True

    def __init__(
        self,
        space: Space,
        configs: Mapping[str, Mapping[str, Any]],
        race: Race,
        *,
        costs: Sequence[EarlierCost],
        study_seed: int,
        in_config: Iterable[str],
    ) -> None:
        super().__init__(space)
        self._configs = {name: space.restored(config) for name, config in configs.items()}
        self._race = race
        self.costs = costs
        self._study_seed = study_seed
        self._in_config = tuple(in_config)

    def suggest(self, index: int) -> dict[str, Value] | None:
        """Return the configuration of trial `index`; None until the round before it is judged."""
        if index >= len(self._race.schedule):
            return None
        _, name = self._race.schedule[index]
        return {**dict.fromkeys(self._in_config, self.seed_of(index)), **self._configs[name]}

    def seed_of(self, index: int) -> int:
        """Return the seed of the round of trial `index`: that of a trial that no study has."""
        return trial_seed(self._study_seed, MOST_TRIALS + self._race.schedule[index][0])

    @property
    def upcoming(self) -> int:
        """Number of trials of the round, if all are suggested: the next one has no more."""
        schedule = self._race.schedule
        if self._race.over or len(self._race.state.trials) < len(schedule):
            return 0
        last, _ = schedule[-1]
        return sum(number == last for number, _ in schedule)

    def on_event(self, event: Event, replay: bool) -> None:
        """Take in an event of the study."""
        super().on_event(event, replay)
        self._race.apply(event)
        if self._race.over and self._race.judged is not None:
            self.ended = f"verdict after {self._race.judged.round} of {self._race.rounds} rounds"

    def take_events(self) -> list[Event]:
        """Return the judgement of a round that is complete."""
        due = self._race.due
        return [*super().take_events(), *([] if due is None else [due])]


@dataclass
class _Report(Callback):
    """Writes and prints the verdict when the study ends."""

    confirmation: Confirmation
    first: str
    """Address of the first study, whose report shows it."""

    def on_end(self, result: StudyResult) -> None:
        write_json(result.directory / CONFIRM_FILE, self.confirmation.to_json())
        bucket = self.first.startswith(SCHEME)
        first = argument(self.first) if bucket else typed(Path(self.first))
        text = f"{program('tune-cluster')} report {first} shows it"
        _print([*self.confirmation.lines(), ("report", text)])


def begin(study: str, top: int | None = None, seeds: int | None = None) -> str:
    """Create the study that confirms `study`, or extend an existing one to more seeds; return its
    address.

    Args:
        study: address of the study.
        top: number of its best configurations; None for 5, or those of the existing one.
        seeds: number of seeds; None for 5, or those of the existing one.

    Raises:
        ValueError: the study cannot be confirmed, or a number is invalid.
    """
    for flag, least, given in (("--top", 1, top), ("--seeds", 2, seeds)):
        if given is not None and not least <= given <= MOST:
            raise ValueError(f"{flag} must be from {least} to {MOST}, got {given}")
    study = absolute(study)
    first, address = read(study), f"{study}{CONFIRM}"
    _check_first(study, first)
    if not is_there(address):
        create(
            address,
            first.about,
            searcher=Candidates.__name__,
            flags={"max_epochs": first.about["flags"]["max_epochs"]},
            confirms={"study": name_in(study), "top": top or TOP, "seeds": seeds or SEEDS},
        )
        return address
    known = _known(study, address)
    was = known["confirms"]
    if top not in (None, was["top"]):
        raise ValueError(
            f"--top {top}: {address} has the candidates of --top {was['top']}, and keeps them; "
            "move it away to confirm others"
        )
    if seeds is not None and seeds < was["seeds"]:
        raise ValueError(
            f"--seeds {seeds}: {address} has {was['seeds']} seeds already; it can only grow"
        )
    if seeds is not None and seeds > was["seeds"]:
        with ExitStack() as held:
            directory = StudyDirectory.find(address, held)
            known = of_this(directory.path, "confirms", study, "confirmation")
            grown = {**known["confirms"], "seeds": seeds}
            write_study_file(directory.path, {**known, "confirms": grown})
    return address


def _known(study: str, address: str) -> dict[str, Any]:
    return of_this(local_copy(address), "confirms", study, "confirmation")


def _check_first(study: str, first: StoredStudy) -> None:
    """Raise a ValueError unless a study can be confirmed, as far as its files say."""
    for field in ("audits", "confirms"):
        if field in first.about:
            other = sibling(study, first.about[field]["study"])
            raise ValueError(f"STUDY {study}: it {field} another study: confirm {other}")
    if is_held(local_copy(study) / JOURNAL):
        raise ValueError(f"STUDY {study}: it is running; wait for its end")
    check_ready(study, first)
    if first.state.best is None:
        raise ValueError(f"STUDY {study}: no trial of it has reported a value; run it to its end")


def continued(tuner: Tuner, options: Options, directory: StudyDirectory) -> tuple[Tuner, Options]:
    """Return Tuner and options of the study in a directory: for a confirmation the job has built
    those of the first study.

    Raises:
        ValueError: the first study is missing, or cannot be confirmed.
    """
    if directory.new:
        return tuner, options
    about = read_study_file(directory.path)
    if "confirms" not in about:
        return tuner, options
    found = tuner.strategies(options)
    space = found.searcher.space
    if "candidates" not in about["confirms"]:
        about = _with_candidates(about, tuner, found, directory)
    confirms = about["confirms"]
    first = sibling(str(directory.bucket or directory.path.absolute()), confirms["study"])
    names = [one["name"] for one in confirms["candidates"]]
    race = Race(names, confirms["seeds"], tuner.objective)
    confirmation = Confirmation(about, race)
    takes = {"seed": "takes_seed", "split_seed": "takes_split_seed"}
    candidates = Candidates(
        space,
        confirmation.candidates,
        race,
        costs=_costs(first, confirms["candidates"]),
        study_seed=options.seed,
        in_config=[n for n, flag in takes.items() if getattr(tuner.trainable, flag, False)],
    )
    config = replace(
        tuner.tune_config,
        search_alg=candidates,
        scheduler=None,
        num_samples=None,
        time_budget_s=None,
        warm_start=None,
    )
    callbacks = (*(tuner.run_config.callbacks or ()), _Report(confirmation, first))
    run_config = replace(tuner.run_config, callbacks=callbacks)
    _print(_plan(confirmation, space))
    trials = len(names) * confirms["seeds"]
    return (
        replace(tuner, param_space=None, tune_config=config, run_config=run_config),
        replace(options, trials=trials, max_epochs=about["flags"]["max_epochs"]),
    )


def _with_candidates(
    about: dict[str, Any], tuner: Tuner, found: Translated, directory: StudyDirectory
) -> dict[str, Any]:
    """Choose the candidates, write them to `study.json`, and return its content.

    Raises:
        ValueError: there are fewer than two, or a configuration alone does not repeat a trial.
    """
    here = str(directory.bucket or directory.path.absolute())
    study = sibling(here, about["confirms"]["study"])
    first, space = read(study), found.searcher.space
    if found.scheduler.perturbed:
        raise ValueError(
            f"STUDY {study}: its trials change {', '.join(found.scheduler.perturbed)} while they "
            "train, so that a configuration alone does not repeat one; confirm a study of fixed "
            "values"
        )
    if reason := found.scheduler.not_resumable or found.searcher.not_resumable:
        raise ValueError(f"STUDY {study}: {reason}; nor can it be confirmed")
    if any(parameter.name in SEEDS_OF_TRIALS for parameter in space.parameters):
        raise ValueError(f"STUDY {study}: it searches the seed, which a confirmation varies")
    chosen = candidates_of(first.state, space, about["confirms"]["top"])
    if len(chosen) < 2:
        raise ValueError(
            f"STUDY {study}: its best configuration is that of the defaults, and there is no other "
            "to compare with: give a larger --top, or search more"
        )
    split = tuner.dataset is not None and getattr(tuner.trainable, "takes_split_seed", False)
    confirms = {**about["confirms"], "candidates": chosen, "fresh_split": bool(split)}
    about = {**about, "confirms": confirms}
    write_study_file(directory.path, about)
    return about


def candidates_of(state: StudyState, space: Space, top: int) -> list[dict[str, Any]]:
    """Return the candidates, as `study.json` has them: the defaults of the space, and the `top`
    best configurations of a study, each once."""
    defaults = space.complete({})
    found: dict[str, dict[str, Any]] = {
        _key(defaults): {"name": DEFAULTS, "trial": None, "config": defaults}
    }
    chosen: list[str] = []
    for index in state.leaders():
        config = {
            name: value
            for name, value in state.trials[index].config.items()
            if name not in SEEDS_OF_TRIALS
        }
        key = _key(config)
        if key in chosen:
            continue
        if len(chosen) == top:
            break
        chosen.append(key)
        name = found[key]["name"] if key in found else f"trial {index}"
        found[key] = {"name": name, "trial": index, "config": config}
    return [*found.values()]


def _costs(study: str, candidates: Iterable[Mapping[str, Any]]) -> list[EarlierCost]:
    """Return what those candidates cost that are trials of the study; none if it is gone: a
    confirmation that has begun does not need it."""
    try:
        trials = read(study).state.trials
    except ValueError:
        return []
    found = []
    for one in candidates:
        trial = trials.get(one["trial"])
        if trial is not None and trial.results and trial.seconds:
            sizes = checkpoint_sizes(Store.at(study) / TRIALS / dirname_of(trial.index))
            found.append(
                EarlierCost(
                    config=one["config"],
                    epochs=trial.epochs if trial.status == "finished" else None,
                    epoch_seconds=trial.seconds / len(trial.results),
                    checkpoint_bytes=max(sizes.values(), default=0),
                )
            )
    return found


def _key(config: Mapping[str, Any]) -> str:
    return json.dumps(config, sort_keys=True, default=str)


def _plan(confirmation: Confirmation, space: Space) -> list[tuple[str, str]]:
    """Return what a confirmation runs at most, as pairs of a label and a text."""
    fixed = dict(space.fixed)
    most = f"up to {confirmation.race.rounds} rounds"
    each = "a round trains each candidate that is still in the race with the same seed"
    split = (
        "on the same fresh split into training and validation data"
        if confirmation.about["confirms"]["fresh_split"]
        else "and the split is the script's own, which may have been selected on: one that it "
        "draws by the seed of its process, its argument seed, or TUNE_CLUSTER_SEED is fresh"
    )
    found = [("confirm", f"{most}: {each}, {split}; the test set is not used")]
    for name, config in confirmation.candidates.items():
        found.append((name, spelled(config, without=fixed)))
    return found


def _print(lines: Iterable[tuple[str, str]]) -> None:
    for name, text in lines:
        print(one_line(f"{name:<15}{text}"))
