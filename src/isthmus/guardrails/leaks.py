"""Secrets by the rules of betterleaks, in the worker: its Go runtime stays out of the gateway."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from isthmus.guardrails.frames import Row

_GENERIC = "generic-"
_PLACEHOLDERS = frozenset({"password", "passwd", "changeme", "example", "secret", "token", "string", "placeholder"})


def find(text: str) -> list[Row]:
    """Every secret that the scanner finds; where it looked into an encoding, the whole text is the range."""
    import betterleaks

    found = betterleaks.scan_string(text.replace("\0", " "))  # a C string would end there
    return [row for finding in found if not _placeholder(finding) for row in _rows(text, finding)]


def _rows(text: str, finding: Any) -> Iterator[Row]:
    kind, value = finding.rule_id.replace("-", "_"), finding.match.value
    at = text.find(value) if value else -1
    if at < 0:
        yield kind, 0, len(text), 1.0
    while at >= 0:
        yield kind, at, at + len(value), 1.0
        at = text.find(value, at + len(value))


def _placeholder(finding: Any) -> bool:
    """Whether a rule that goes by the name of a variable alone met a word that no one would take for a secret."""
    value = finding.match.value.strip("\"'<>{}$%*_-. ")
    return finding.rule_id.startswith(_GENERIC) and ((value.isalpha() and value.lower() in _PLACEHOLDERS) or not value)
