"""Whether a metric is to be high or low."""

from typing import Literal, TypeAlias

Mode: TypeAlias = Literal["max", "min"]


def sign_of(mode: str | None) -> int:
    """1 where more is better, else -1: times it, of two values the better one is the greater."""
    return 1 if mode == "max" else -1
