"""Logs of known entries, written by the real log, and entries that mean harm."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from isthmus.governance.audit.files import Files
from isthmus.governance.audit.reading.reader import Reader
from isthmus.governance.audit.tree.storage import Folder
from isthmus.governance.audit.writing.journal import Journal, Place

START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
#: What draws on a terminal, or hides in it: an escape, its one-character form, a bell, a carriage return, a new line,
#: a direction override, a zero-width space, a tag, Rich's markup, and what looks like JSON.
HOSTILE = (
    "\x1b[2Jclear", "\x9b31m", "\x07bell", "over\rwritten", "new\nline", "rtl\u202eevil", "zero\u200bwidth",
    "tag\U000e0041", "[bold red]markup[/]", "[/]", '"quoted" \\ back', "\u2028line", "\ufeffbom", "💥",
)  # fmt: skip
#: Of these, what may not reach a terminal as it is.
RAW = ("\x1b[2J", "\x9b", "\x07", "\r", "\u202e", "\u200b", "\U000e0041", "\u2028", "\ufeff")


class Ticking:
    """A clock that goes on by ``step`` with each look."""

    def __init__(self, step: timedelta = timedelta(milliseconds=250), start: datetime = START) -> None:
        self.time, self.step = start, step

    def __call__(self) -> datetime:
        self.time += self.step
        return self.time


def call(i: int, **fields: Any) -> dict[str, Any]:
    """An intent as the pipeline writes it, with what a test says is different."""
    return {
        "type": "intent", "request": f"req_{i}", "principal": f"key_{i % 3}", "purpose": "support",
        "label": {"level": "internal", "categories": ["personal"]}, "model": "closed/frontier", "asked": "auto",
        "provider": "openai_compatible", "vendor": "api.vendor.example:8443", "locality": "api", "jurisdiction": "US",
        "retention": "none", "terms": {"contract": "DPA-1", "expires": None, "subprocessors": []}, "texts": 2,
        "images": 0, "characters": 120, "rule": "vendors-with-terms", "obligations": ["mark"], "policy": "sha256:aa",
        "reason": "the question asks for reasoning", "admitted": ["local/echo", "closed/frontier"],
        "denied": {"closed/second": "terms-expired"}, "candidates": ["closed/frontier"], "attempt": 1,
        "findings": {"email": 2}, "found": {}, "prompt": "ab" * 32,
        "passages": [{"document": "doc_9", "chunk": "c1", "collection": "handbook"}], **fields,
    }  # fmt: skip


def ended(intent: Mapping[str, Any], kind: str = "outcome", **fields: Any) -> dict[str, Any]:
    """What ends that call: an outcome unless ``kind`` says otherwise."""
    who = {name: intent[name] for name in ("request", "principal", "purpose", "label", "model")}
    if kind != "outcome":
        return {"type": kind, **who, "code": "upstream_timeout", "findings": {}, **fields}
    usage = {"prompt": 100, "completion": 20, "cached": 0, "reasoning": 0, "estimated": False}
    cost = {"amount": "0.000600", "currency": "USD"}
    told = {"weights": "", "snapshot": "frontier-1", "finish": "stop", "answer": "cd" * 32}
    return {"type": "outcome", **who, "usage": usage, "cost": cost, **told, **fields}


def write(home: Path, events: Iterable[Mapping[str, Any]], step: timedelta = timedelta(milliseconds=250)) -> Reader:
    """The events in the log of a home folder, signed for. The clock goes on by ``step`` with each entry."""
    place = Place(home / "audit", home / "secrets" / "log-signing-key", "example.org/log")
    journal = Journal(place, Ticking(step), Files())
    with journal.turn():
        journal.write(list(events))
        journal.flush()
    journal.close()
    return Reader(Folder(home / "audit"))
