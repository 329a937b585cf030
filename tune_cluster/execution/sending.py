"""Check that a trainable can be sent to the trials' processes, and search for the variable if
not."""

from __future__ import annotations

import inspect
import math
import types
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from ray import cloudpickle, tune
from rich.filesize import decimal

from tune_cluster.cluster.compat import LARGEST_FUNCTION
from tune_cluster.execution.ray_tune.capabilities import captured, names_in

LARGEST_TRAINABLE_BYTES = LARGEST_FUNCTION - 10**6
"""Largest size of a trainable in bytes, minus a reserve for wrappers. A larger one fails in Ray
during the study."""


def check_sendable(trainable: Any) -> None:
    """Raise a ValueError for a trainable that cannot be pickled or is too large; name the
    variable."""
    size, error = pickled(trainable)
    if error is None and size <= LARGEST_TRAINABLE_BYTES:
        return
    name = getattr(trainable, "__name__", type(trainable).__name__)
    path, found = culprit(trainable, size)
    kind = f"{type(found).__module__}.{type(found).__name__}".removeprefix("builtins.")
    variable = f"{' of '.join(reversed(path))} ({kind})" if path else "its content"
    if error is not None:
        raise ValueError(
            f"the trainable {name} cannot be sent to the trials' processes: {variable} cannot be "
            f"pickled ({error}); make it inside the trainable"
        )
    raise ValueError(
        f"the trainable {name} is too large to be sent to the trials' processes: {variable} has "
        f"{decimal(int(pickled(found)[0]))} of at most {decimal(LARGEST_TRAINABLE_BYTES)}; load it "
        f"inside the trainable, or give it by tune.with_parameters({name}, name=value)"
    )


@contextmanager
def unsendable_refused() -> Iterator[None]:
    """Turn Ray's TypeError for an object that it cannot store, as from `tune.with_parameters`, into
    a ValueError of one line."""
    try:
        yield
    except TypeError as error:
        message = str(error).partition("\n")[0]
        if not message.startswith("Could not serialize"):
            raise
        raise ValueError(
            f"tune.with_parameters: {message.rstrip(':')}; make it inside the trainable"
        ) from None


def pickled(value: Any) -> tuple[float, Exception | None]:
    """Return the bytes of a pickled value, infinite if it cannot be pickled, and the error."""
    buffers: list[Any] = []
    try:
        # Arrays are counted without a copy.
        data = cloudpickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    except Exception as error:
        return math.inf, error
    return len(data) + sum(buffer.raw().nbytes for buffer in buffers), None


def culprit(thing: Any, size: float) -> tuple[list[str], Any]:
    """Return the largest of its variables, as the path of names to it, and its value; one that
    cannot be pickled counts as infinitely large."""
    path: list[str] = []
    seen = {id(thing)}
    while True:
        sizes = [(pickled(v)[0], name, v) for name, v in variables(thing) if id(v) not in seen]
        largest, name, value = max(sizes, key=lambda known: known[0], default=(0.0, "", None))
        # Of many small ones none is the cause.
        if largest < size / 10:
            return path, thing
        seen.add(id(value))
        path, thing = [*path, name], value


def variables(thing: Any) -> Iterator[tuple[str, Any]]:
    """Yield the variables that are sent with a function or a class, by name."""
    if isinstance(thing, partial):
        yield from ((f"argument {n}", value) for n, value in enumerate(thing.args, start=1))
        yield from thing.keywords.items()
        yield "function", thing.func
    elif isinstance(thing, types.MethodType):
        yield from vars(thing.__self__).items() if hasattr(thing.__self__, "__dict__") else ()
        yield thing.__name__, thing.__func__
    elif isinstance(thing, types.FunctionType):
        yield from captured(thing)
        names = names_in(thing.__code__)
        yield from ((name, thing.__globals__[name]) for name in names if name in thing.__globals__)
        yield from ((p.name, p.default) for p in inspect.signature(thing).parameters.values())
    elif inspect.isclass(thing):
        for part in thing.__mro__:
            if part in tune.Trainable.__mro__:
                continue
            for name, value in vars(part).items():
                yield name, getattr(value, "__func__", value)
