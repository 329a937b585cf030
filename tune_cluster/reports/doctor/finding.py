"""A finding of the doctor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Verdict: TypeAlias = Literal["pass", "warn", "fail"]

PLAYBOOK = "Godbole et al. 2023, Deep Learning Tuning Playbook"


@dataclass(frozen=True, kw_only=True)
class Advice:
    """A change of the next study."""

    text: str
    """For a person: "search learning_rate up to 1"."""
    search: tuple[str, ...] = ()
    """Ranges, as `--search` takes them."""
    fix: tuple[str, ...] = ()
    """Values, as `--fix` takes them."""
    flags: tuple[tuple[str, str], ...] = ()
    """Flags of the study with their values, such as `("--max-epochs", "54")`."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One check of a study, with its evidence."""

    check: str
    """Name of the check."""
    verdict: Verdict
    evidence: str
    """What was seen, with its numbers."""
    rule: str
    """Rule and threshold, with its source."""
    advice: tuple[Advice, ...] = ()
    numbers: tuple[tuple[str, Any], ...] = ()
    """Numbers that the verdict rests on, by name."""

    def to_json(self) -> dict[str, Any]:
        """Return the finding as plain JSON."""
        return {
            "check": self.check,
            "verdict": self.verdict,
            "evidence": self.evidence,
            "rule": self.rule,
            "advice": [one.text for one in self.advice],
            "numbers": dict(self.numbers),
        }


def worst_first(findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings with fails first, then warns."""
    return sorted(findings, key=lambda one: ("fail", "warn", "pass").index(one.verdict))
