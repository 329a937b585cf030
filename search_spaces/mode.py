"""Whether a metric is to be high or low."""

from search_spaces.objective import Mode as Mode


def sign_of(mode: str | None) -> int:
    """1 where more is better, else -1: times it, of two values the better one is the greater."""
    return 1 if mode == "max" else -1
