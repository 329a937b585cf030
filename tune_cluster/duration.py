"""A time as text."""


def duration(seconds: float) -> str:
    """Return a time as `42 s`, `7 min 05 s` or `2 h 10 min`.

    >>> duration(42.4), duration(425), duration(7800)
    ('42 s', '7 min 05 s', '2 h 10 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
