"""Separators of text files: each suffix has one."""

SEPARATORS = {".csv": ",", ".tsv": "\t"}
"""Separator by suffix."""

OTHERS = (";", "\t", "|", ",")
"""Separators that files of these suffixes have too, such as where a comma is in numbers."""


def not_separated(header: str, separator: str) -> str:
    """Return that names of columns are separated by something else, and what to do; empty if they
    are not, or if there is one column.

    Args:
        header: line with the names.
        separator: separator that they should have.
    """
    other = next((mark for mark in OTHERS if mark in header), "")
    if not other or separator in header:
        return ""
    decimal = ", decimal=','" if other == ";" else ""
    advice = ", with decimal='.' for points" if decimal else ""
    return (
        f"the names of its columns are separated by {other!r} and not by {separator!r}; write it "
        f"anew, such as by pandas.read_csv(FILE, sep={other!r}{decimal})"
        f".to_csv(FILE, index=False){advice}"
    )
