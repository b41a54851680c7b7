"""What goes between the pool and its workers: four bytes of length (big endian), then JSON."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

#: ``[kind, start, end, score]`` with offsets into the text that was sent.
Row: TypeAlias = tuple[str, int, int, float]


class Question(msgspec.Struct):
    job: str
    text: str


class Reply(msgspec.Struct):
    """``error`` is a class's name only: the message could hold the text."""

    rows: list[Row] = []
    error: str = ""


def frame(body: bytes) -> bytes:
    """The body with its length before it."""
    return len(body).to_bytes(4, "big") + body
