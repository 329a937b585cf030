"""Capabilities of a trainable, by its code alone, before it has run.

Beside Tune's own methods a trainable class may offer these, and the launcher uses those it finds:

- `check_config(config)`, or `check_config(config, data)` if the study has a dataset: a static
  method that raises ValueError for a bad configuration; called on the driver before anything is
  scheduled.
- `measure(config, checkpoint_dir, *, cpus, on_gpu) -> dict`, with `data` too if the study has a
  dataset: a static method that runs a few steps, saves a checkpoint in that folder, and returns
  `step_seconds` and `epoch_seconds`; if trials have GPUs it is called on one, with `on_gpu=True`.
  Without it no cost is estimated before the study.
- `reuse_actors = True`: its `reset_config` leaves nothing of one trial to the next, so that a
  process runs many trials. Without it each trial has a process of its own, as in Tune, since a
  `reset_config` may set a learning rate and keep the weights.
- `takes_seed = True`: its configuration has the trial's `seed`, unless the space has one.
- `takes_split_seed = True`: its configuration may have `split_seed`, by which a trial splits the
  training and validation data of its study anew. `tune-cluster confirm` gives one.
- `evaluate(config, checkpoint_dir, dataset) -> dict`: a static method that returns the metrics of
  the best checkpoint on the test set, called once at the end.
- `look(dataset)`: a static method that returns an object with `warnings`, sentences about the data
  that a person should read before the first trial, and `page`, an HTML text, which is kept in the
  study's directory as `data.html`; it may have `leakage`, the share of a part's samples that
  another part has too, such as `{"test in training": 0.02}`.
- `predict(config, checkpoint_dir, dataset, part) -> dict`: a static method that returns what a
  checkpoint predicts for the part "validation" or "test": `rows`, indices of the samples, int
  `[n]`; `targets`, `[n]`; and `predicted`, the probability of each class, `[n, classes]`, or
  numbers, `[n]`. The validation part of a trial with folds is all samples, each predicted by the
  network that was not trained on it. None for a test set that there is not. It is called for the
  best checkpoint at the end, and by `tune-cluster evaluate` for those of the best trials.
- `average(configs, checkpoint_dirs, dataset, target_dir)`: a static method that writes a checkpoint
  with the mean of the weights of several, to be used with the first configuration; it raises
  ValueError for networks that are not equal. Without it `evaluate` averages no weights.
- `baselines(dataset, *, on_test) -> dict`: a static method that returns, by the name of a simple
  predictor, its scores under the names of the trials' metrics on the validation set, or with
  `on_test=True` on the test set, or a text on why it has none. Called before the first trial and,
  where the test set was used, once at the end; its figures are printed beside the best trial's.
"""

from __future__ import annotations

import ast
import inspect
import sysconfig
import textwrap
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from ray import tune

import tune_cluster
from tune_cluster.trial.script import epochs

INTEGRATIONS = "tune_cluster.integrations"
"""Package whose callbacks save and resume by themselves."""

LIBRARIES = tuple(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib"))


def overrides(trainable: object, method: str) -> bool:
    """Return whether a trainable is a class that defines a `method` of its own."""
    return getattr(trainable, method, None) not in (None, getattr(tune.Trainable, method))


def name_of(trainable: Any) -> str:
    """Return module and name of a trainable, by which a resume identifies it; its code may change.
    A class that has moved declares its recorded name."""
    recorded = getattr(trainable, "__dict__", {}).get("recorded_as")
    if recorded is not None:
        return str(recorded)
    of = trainable
    if not hasattr(of, "__name__"):
        # A partial function, or a callable object.
        of = getattr(trainable, "func", type(trainable))
    return f"{of.__module__}.{of.__name__}"


def reuses_processes(trainable: object, asked: bool = False) -> bool:
    """Return whether a process runs several trials, as the class or the user asks for."""
    asked = asked or bool(getattr(trainable, "reuse_actors", False))
    # Without a reset of its own, each trial of a class but the first would fail in its process; a
    # function is called again.
    return asked and (not inspect.isclass(trainable) or overrides(trainable, "reset_config"))


def can_resume(trainable: Any) -> bool:
    """Return whether a class has `save_checkpoint`, or a function calls `tune.get_checkpoint()`,
    gives objects to `tune_cluster.epochs` or has a callback of `tune_cluster.integrations`, in its
    own code or in the user's code that it calls: promotions and populations need it."""
    if inspect.isclass(trainable):
        return overrides(trainable, "save_checkpoint")
    # Of a script, which is no code of the function that runs it.
    known = getattr(trainable, "__dict__", {}).get("resumes")
    return bool(known) if known is not None else _asks_for_checkpoint(trainable, set())


def _asks_for_checkpoint(value: Any, seen: set[int]) -> bool:
    if id(value) in seen:
        return False
    seen.add(id(value))
    if _defined_in(value).startswith(INTEGRATIONS):
        return True
    parts: list[Any]
    if isinstance(value, FunctionType):
        # The variables that a library's function, as of `tune.with_parameters`, encloses may be the
        # user's.
        library = value.__code__.co_filename.startswith(LIBRARIES)
        names = set() if library else set(names_in(value.__code__))
        if "get_checkpoint" in names or any(name.startswith(INTEGRATIONS) for name in names):
            return True
        parts = [variable for _, variable in captured(value)]
        parts += [value.__globals__[name] for name in names & set(value.__globals__)]
        modules = [part for part in parts if isinstance(part, ModuleType)]
        ours = tune_cluster in modules or tune_cluster.__name__ in names
        called = any(part is epochs for part in parts)
        if (called or (ours and epochs.__name__ in names)) and _gives_objects(value):
            return True
        parts += [vars(module)[name] for module in modules for name in names & set(vars(module))]
    elif isinstance(value, (partial, MethodType)):
        parts = [value.func if isinstance(value, partial) else type(value.__self__)]
    elif inspect.isclass(value):
        parts = [getattr(part, "__func__", part) for part in vars(value).values()]
        parts = [part for part in parts if isinstance(part, FunctionType)]
    else:
        parts = [] if isinstance(value, ModuleType) else [type(value)]
    return any(_asks_for_checkpoint(part, seen) for part in parts)


def _gives_objects(function: FunctionType) -> bool:
    """Return whether a function calls `epochs` with objects to save; True if its source is not
    there, or has no such call by that name."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return True
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    names = [getattr(call.func, "attr", getattr(call.func, "id", "")) for call in calls]
    given = [bool(c.keywords) for c, n in zip(calls, names, strict=True) if n == epochs.__name__]
    return any(given) or not given


def _defined_in(value: Any) -> str:
    """Return the module that defines a class or a function, or the name of a module."""
    name = "__name__" if isinstance(value, ModuleType) else "__module__"
    return str(getattr(value, name, ""))


def captured(function: FunctionType) -> Iterator[tuple[str, Any]]:
    """Yield the variables that a function encloses, by name, except those without a value yet."""
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with suppress(ValueError):
            yield name, cell.cell_contents


def names_in(code: CodeType) -> Iterator[str]:
    """Yield the names that a function's code reads, and those of its inner functions."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from names_in(constant)
