"""What a study needs to know of its data."""

from __future__ import annotations

from typing import Any, Protocol


class Dataset(Protocol):
    """What a study needs to know of its data."""

    @property
    def name(self) -> str:
        """Of the dataset."""

    @property
    def notice(self) -> str:
        """What a person must know, such as that it is not the default; may be empty."""

    @property
    def source(self) -> str:
        """Where it was found."""

    @property
    def fingerprint(self) -> str:
        """Changes with any value of the data or the split."""

    @property
    def search(self) -> Any:
        """What the trials are given: all but the test set."""
