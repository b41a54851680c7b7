"""Cedar text cut into its policies, with lines: Cedar's own errors say what is wrong, not where."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

#: Comments, strings, the ``;`` that ends a policy, space, and everything else (the lexical grammar of Cedar's docs).
_TOKEN = re.compile(r'(//[^\n\r]*|\s+)|("(?:\\.|[^"\\])*")|(;)|[^\s";/]+|.', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Statement:
    """One policy as written; ``line`` is its first, counted from 1."""

    file: str
    line: int
    text: str


def statements(text: str, file: str) -> Iterator[Statement]:
    """The policies of a file. What stands after the last ``;`` is given too: Cedar says what is wrong with it."""
    start = None
    for token in _TOKEN.finditer(text):
        blank, _, end = token.groups()
        if start is None and blank is None:
            start = token.start()
        if end is not None and start is not None:
            yield _statement(text, start, token.end(), file)
            start = None
    if start is not None:
        yield _statement(text, start, len(text), file)


def _statement(text: str, start: int, end: int, file: str) -> Statement:
    return Statement(file, text.count("\n", 0, start) + 1, text[start:end].rstrip())
