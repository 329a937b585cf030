"""Encodings of text files: all are read as UTF-8."""

UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
"""First bytes of a file in UTF-16, as programs of Windows write it."""


def not_utf8(data: bytes) -> str:
    """Return where the content of a file is not UTF-8, and what to do; empty if it is."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        encoding = "UTF-16" if data.startswith(UTF_16_MARKS) else "WINDOWS-1252"
        return (
            f"line {line}: byte 0x{data[error.start]:02x} is not UTF-8; convert the file, such as "
            f"by iconv -f {encoding} -t UTF-8"
        )
    return ""
