"""Whether a trainable can be sent to the trials' processes, and which variable prevents it."""

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
"""Bytes of a trainable; the rest is for what is put around it. With more Ray fails in mid-study."""


def check_sendable(trainable: Any) -> None:
    """Refuse a trainable that cannot be pickled or is too large to be sent; name the variable."""
    size, error = pickled(trainable)
    if error is None and size <= LARGEST_TRAINABLE_BYTES:
        return
    name = getattr(trainable, "__name__", type(trainable).__name__)
    path, found = culprit(trainable, size)
    kind = f"{type(found).__module__}.{type(found).__name__}".removeprefix("builtins.")
    variable = f"{' of '.join(reversed(path))} ({kind})" if path else "what it is made of"
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
    """Within, a TypeError of Ray for an object that it cannot store, as of `tune.with_parameters`,
    is a ValueError of one line."""
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
    """How many bytes it has when it is sent, infinite if it cannot be, and the error then."""
    buffers: list[Any] = []
    try:
        # Arrays are counted and not copied.
        data = cloudpickle.dumps(value, protocol=5, buffer_callback=buffers.append)
    except Exception as error:
        return math.inf, error
    return len(data) + sum(buffer.raw().nbytes for buffer in buffers), None


def culprit(thing: Any, size: float) -> tuple[list[str], Any]:
    """The largest of its variables, as the names that lead to it, and its value; infinitely large
    is what cannot be pickled."""
    path: list[str] = []
    seen = {id(thing)}
    while True:
        sizes = [(pickled(v)[0], name, v) for name, v in variables(thing) if id(v) not in seen]
        largest, name, value = max(sizes, key=lambda known: known[0], default=(0.0, "", None))
        # Of many small ones none is to blame.
        if largest < size / 10:
            return path, thing
        seen.add(id(value))
        path, thing = [*path, name], value


def variables(thing: Any) -> Iterator[tuple[str, Any]]:
    """What is sent with a function or a class, by name."""
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
