"""Any hyperparameter of any job, from the command line: `--fix` and `--search`."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from search_spaces.catalogue import CATALOGUE
from search_spaces.hyperparameter import Hyperparameter
from search_spaces.search_flag import parameter_of
from search_spaces.space import Space, possible_under
from search_spaces.values import Value, ValueIndex, as_tuples

FLAGS = {
    "epochs": "--max-epochs",
    "model": "--model",
    "embeddings": "--embeddings",
    "synonyms": "--synonyms",
    "paraphrases": "--paraphrases",
    "more_scores": "--metric",
    "pretrained": "--pretrained",
    "seed": "--seed",
}
"""Flags that give the value of a hyperparameter, in the jobs that have them."""


@dataclass(frozen=True, kw_only=True)
class Knobs:
    """Command-line flags for single hyperparameters: fixed, or searched in a range of one's own."""

    earlier: ClassVar[tuple[str, ...]] = ("train_ratio",)
    """Flags of an earlier version, whose values `of_study` reads."""

    fix: tuple[str, ...] = ()
    """Fixed values, as name=value: --fix patience=6 train_ratio=0.9 "hidden_sizes=(512,256)". What
    is fixed is not searched. `tune-cluster hyperparameters` lists the names."""
    search: tuple[str, ...] = ()
    """Hyperparameters to search, with their ranges or values, beside those of the job and instead
    of its ranges: --search learning_rate=log:1e-3:1 batch_size=32,64 patience=int:5:10
    "momentum=0.5:0.99 if optimizer=sgd"."""

    def apply(
        self, space: Space, catalogue: Sequence[Hyperparameter] = CATALOGUE, /, **own: Value
    ) -> Space:
        """Return the space of a job with the hyperparameters fixed and searched that the user gave.

        A hyperparameter that the job searches keeps its place, so that the points of the others do
        not change; one that it does not search is added with its condition of the catalogue.

        Args:
            space: space of the job.
            catalogue: all hyperparameters of its task; by default those of images.
            own: values of hyperparameters that have a flag of their own; None where the user has
                not given it, so that the job's own value or range holds.

        Raises:
            ValueError: a text has none of the accepted forms, a hyperparameter is given twice or
                has a flag of its own, or it cannot exist beside the others.
        """
        fixed, searched = parse_fixed(self.fix), [parameter_of(text) for text in self.search]
        # What a job fixes by default may be searched.
        given = {name: value for name, value in own.items() if value is not None}
        self._check(fixed, searched, own, given)
        space = space.fix(**given).fix(**fixed)
        names = {parameter.name for parameter in searched}
        texts = zip(self.search, searched, strict=True)
        # What others depend on comes before them.
        for text, parameter in sorted(
            texts, key=lambda pair: len(_ancestors(pair[1], catalogue) & names)
        ):
            try:
                space = with_searched(space, parameter, catalogue)
            except ValueError as error:
                raise ValueError(f"--search {text}: {error}") from None
        for text, name in zip(self.fix, fixed, strict=True):
            searches = any(p.name == name for p in space.parameters)
            known = [entry for entry in catalogue if entry.name == name]
            if known and not searches and not _entries(known, space, catalogue):
                raise ValueError(f"--fix {text}: no trial would use it: {_needs(known)}")
        return space

    def _check(
        self,
        fixed: Mapping[str, Value],
        searched: Sequence[Hyperparameter],
        own: Mapping[str, Value],
        given: Mapping[str, Value],
    ) -> None:
        """Raise a ValueError for a hyperparameter that has a flag of its own or is given twice."""
        for text, name in zip(self.fix, fixed, strict=True):
            if name in (*own, "seed"):
                raise ValueError(
                    f"--fix {text}: give {FLAGS[name]} instead, since the study itself uses the "
                    "value"
                )
        for text, parameter in zip(self.search, searched, strict=True):
            name = parameter.name
            alike = [p for p in searched if p.name == name and not p.excludes(parameter)]
            reasons = {
                f"{FLAGS.get(name)} gives its value": name in (*given, "seed"),
                "--fix gives its value": name in fixed,
                "it is given twice": len(alike) > 1,
            }
            for reason, holds in reasons.items():
                if holds:
                    raise ValueError(f"--search {text}: {name} cannot be searched, since {reason}")

    @property
    def given(self) -> dict[str, str]:
        """Flag and words that fix or search a hyperparameter, by its name; raises as `apply`."""
        fixed = zip(parse_fixed(self.fix), self.fix, strict=True)
        return {
            **{name: f"--fix {text}" for name, text in fixed},
            **{parameter_of(text).name: f"--search {text}" for text in self.search},
        }

    def train_ratio(self, default: float = 0.8) -> float:
        """Return the share of the samples in the training part of the study's split: the fixed
        `train_ratio`, or the largest searched one if it is above `default`.

        Raises:
            ValueError: as `apply`.
        """
        fixed = parse_fixed(self.fix)
        if "train_ratio" in fixed:
            ratio = fixed["train_ratio"]
            if isinstance(ratio, bool) or not isinstance(ratio, (int, float)):
                raise ValueError(f"--fix train_ratio={ratio}: must be a number between 0 and 1")
            return ratio
        searched = [p for p in map(parameter_of, self.search) if p.name == "train_ratio"]
        ends = [end for p in searched for end in (*p.values, p.high)]
        return max([default, *(end for end in ends if isinstance(end, (int, float)))])

    @classmethod
    def of_study(cls, about: Mapping[str, Any]) -> dict[str, Any]:
        """Return the flags of a started study, from its `study.json`: an earlier version had a flag
        of its own for the ratio."""
        options = about["options"]
        if "train_ratio" not in options:
            return {}
        return {"fix": (*options.get("fix", ()), f"train_ratio={options['train_ratio']}")}


def with_searched(
    space: Space, given: Hyperparameter, catalogue: Sequence[Hyperparameter]
) -> Space:
    """Return the space with a hyperparameter searched in the range or the values of `given`.

    If the space has it, all of its branches take the range and keep place, condition and role;
    with a condition of its own, `given` replaces the branches under these values alone. Otherwise
    it is added with its conditions of the catalogue; one that the catalogue does not have is added
    as it is. What can no longer exist is left out.

    Raises:
        ValueError: it cannot exist in the space.
    """
    fixed = {name: value for name, value in space.fixed if name != given.name}
    old = [p for p in space.parameters if p.name == given.name]
    listed = [entry for entry in catalogue if entry.name == given.name]
    known = old or _entries(listed, space, catalogue)
    if listed and not known:
        raise ValueError(f"no trial would use it: {_needs(listed)}")
    if given.condition is not None:
        # Of several branches that with the same values.
        alike = [entry for entry in known if _without(entry, given.condition) != [entry]]
        template = (alike or known or [given])[0]
        new = [replace(_ranged(template, given), condition=given.condition)]
    else:
        new = [_ranged(entry, given) for entry in known] or [given]
    parameters: list[Hyperparameter] = []
    for parameter in space.parameters:
        if parameter.name != given.name:
            if new and not old and parameter.condition and parameter.condition[0] == given.name:
                # It comes before what depends on it.
                parameters += new
                new = []
            parameters += _following(parameter, old, given)
        elif given.condition is None:
            parameters.append(new.pop(0))
        else:
            parameters += new + _without(parameter, given.condition)
            new = []
    possible = possible_under(fixed, [*parameters, *new])
    if given.condition and all(parameter.name != given.name for parameter in possible):
        parent = given.condition[0]
        raise ValueError(f"no trial would use it: no {parent} has such a value here")
    return replace(space, parameters=tuple(possible), fixed=tuple(fixed.items()))


def _ancestors(parameter: Hyperparameter, catalogue: Sequence[Hyperparameter]) -> set[str]:
    """Return the names of the hyperparameters that its existence may depend on."""
    entries = [parameter, *(entry for entry in catalogue if entry.name == parameter.name)]
    parents = {entry.condition[0] for entry in entries if entry.condition}
    above = [entry for entry in catalogue if entry.name in parents]
    return parents.union(*(_ancestors(entry, catalogue) for entry in above))


def _entries(
    listed: Sequence[Hyperparameter], space: Space, catalogue: Sequence[Hyperparameter]
) -> list[Hyperparameter]:
    """Return those of the `listed` entries of one hyperparameter that can exist in the space; one
    without a condition covers all."""
    free = [entry for entry in listed if entry.condition is None]
    existing = (_existing(entry, space, catalogue) for entry in listed)
    return free or [entry for entry in existing if entry is not None]


def _existing(
    entry: Hyperparameter, space: Space, catalogue: Sequence[Hyperparameter]
) -> Hyperparameter | None:
    """Return an entry of the catalogue with the condition that it has in the space; None if it can
    never exist there."""
    if entry.condition is None:
        return entry
    parent, fixed = entry.condition[0], dict(space.fixed)
    searched = [p for p in space.parameters if p.name == parent]
    above = [e for e in catalogue if e.name == parent]
    if searched:
        return entry if any(map(entry.may_depend_on, searched)) else None
    if parent in fixed:
        # Of a value that it does not have the catalogue says nothing.
        exists = entry.exists_under(fixed) or not any(e.has(fixed[parent]) for e in above)
        return replace(entry, condition=None) if exists else None
    # A parent that is neither searched nor fixed has its default.
    for one in above:
        found = _existing(one, space, catalogue)
        if found is not None and entry.exists_under({parent: one.default}):
            return replace(entry, condition=found.condition)
    return None


def _needs(listed: Sequence[Hyperparameter]) -> str:
    """Return the conditions of the entries of a hyperparameter in words."""
    ways = [f"{e.condition[0]}={'|'.join(map(str, e.condition[1]))}" for e in listed if e.condition]
    return f"{listed[0].name} exists only with {' or '.join(ways)}"


def _ranged(entry: Hyperparameter, given: Hyperparameter) -> Hyperparameter:
    """Return an entry with the range or the values of another one; its default and grid where they
    are in it."""
    integer = given.integer or entry.integer or _whole(entry.values)
    if given.low is not None and given.high is not None:
        # An integer range has whole ends.
        integer = integer and not (given.low % 1 or given.high % 1)
    grid = tuple(value for value in entry.grid if not given.values and given.has(value))
    return replace(
        entry,
        low=given.low,
        high=given.high,
        scale=given.scale,
        integer=integer and not given.values,
        step=None,
        values=given.values,
        ordered=given.ordered,
        grid=grid if len(grid) > 1 else (),
        default=entry.default if given.has(entry.default) else given.default,
    )


def _whole(values: Sequence[Value]) -> bool:
    return bool(values) and all(type(value) is int for value in values)


def _without(
    parameter: Hyperparameter, condition: tuple[str, tuple[Value, ...]]
) -> list[Hyperparameter]:
    """Return a branch without the part of it that exists under a condition."""
    if parameter.condition is None:
        return []
    parent, values = parameter.condition
    if parent != condition[0]:
        return []
    taken = ValueIndex(condition[1])
    left = tuple(value for value in values if taken.of(value) is None)
    return [replace(parameter, condition=(parent, left))] if left else []


def _following(
    parameter: Hyperparameter, old: Sequence[Hyperparameter], given: Hyperparameter
) -> list[Hyperparameter]:
    """Return a parameter whose condition on numbers follows the new range of its parent: one that
    exists under all old values but some exists under all new ones but those."""
    above = [p for p in old if parameter.may_depend_on(p) and _numeric(p)]
    if not above or parameter.condition is None:
        return [parameter]
    allowed = ValueIndex(parameter.condition[1])
    excluded = [v for p in above for v in p.values if allowed.of(v) is None]
    if given.values:
        left = tuple(v for v in given.values if ValueIndex(excluded).of(v) is None)
        return [replace(parameter, condition=(given.name, left))] if left else []
    inside = [v for v in excluded if given.has(v)]
    if inside:
        raise ValueError(
            f"{parameter.name} does not exist with {given.name}={inside[0]}: give a range without "
            f"it, or --fix {parameter.name}"
        )
    return [replace(parameter, condition=above[0].condition)]


def _numeric(parameter: Hyperparameter) -> bool:
    numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in parameter.values)
    return bool(parameter.values) and numbers


def parse_fixed(words: Sequence[str]) -> dict[str, Value]:
    """Parse `name=value` words of the command line: JSON, a Python literal, or plain text.

    Raises:
        ValueError: a word lacks a name or a value, or a name is given twice.
    """
    values: dict[str, Value] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not (name and equals and text):
            raise ValueError(f"--fix {word}: give name=value, such as schedule=cosine")
        if name in values:
            raise ValueError(f"--fix {word}: {name} is given twice")
        values[name] = as_tuples(_read(text))
    return values


def _read(text: str) -> Any:
    for read in (json.loads, ast.literal_eval):
        try:
            return read(text)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            # Deeply nested brackets raise one of the last two.
            continue
    return text
