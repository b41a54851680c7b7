"""Content that was kept of what somebody received, put beside the evidence: each opening is recorded first."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from isthmus.governance.audit.answers import facts
from isthmus.governance.audit.answers.evidence import chosen
from isthmus.governance.audit.answers.sent import Sent
from isthmus.governance.audit.reading.reader import Reader
from isthmus.governance.audit.tree.entries import decode
from isthmus.principals import operator

if TYPE_CHECKING:
    from isthmus.data.vault import Kept
    from isthmus.wiring import Custody


@dataclass(slots=True)
class Sealed:
    """What the entries of one request say was sealed: ``first`` is the number of the first of them, ``hashes`` the kind
    and SHA-256 of each ciphertext."""

    first: int
    models: set[str] = field(default_factory=set)
    hashes: set[tuple[str, object]] = field(default_factory=set)

    def covers(self, one: Kept) -> bool:
        """Whether the text was sent to, or came from, one of these models."""
        return one.model in self.models


def sealed(reader: Reader, answer: Sent) -> dict[str, Sealed]:
    """By request, what was kept of what was counted."""
    found: dict[str, Sealed] = {}
    for index, entry in chosen(reader, answer.tally.entries):
        event = decode(entry, index) or {}
        if event.get("kept") is True:
            one = found.setdefault(facts.text(event, "request"), Sealed(index))
            one.models.add(facts.text(event, "model"))
            one.hashes.update(facts.part(event, "sealed").items())
    return found


async def open_all(custody: Custody, found: Mapping[str, Sealed], why: str, folder: Path) -> int:
    """Write what is still kept into ``folder``, a file a request, for its owner alone: with the salt, by which a
    stranger checks it against the log's commitments. Returns how many were opened.

    What cannot be recorded is not opened: raises :class:`isthmus.errors.AuditUnavailable`.
    """
    opened = 0
    for request, told in found.items():
        kept = [one for one in custody.vault.opened(request) if told.covers(one)]
        salt = None
        if any(one.state == "kept" for one in kept):
            for event in ({"type": "content.opened", "why": why}, {"type": "content.disclosed"}):
                await custody.log.append({**event, "request": request, "by": operator()}, flush=True)
            salt = custody.vault.salt(kept[0].subject, request)
            opened += 1
        plain = {"request": request, "salt": salt and salt.hex(), "contents": _plain(kept, told)}
        _write(folder / f"{told.first}.json", plain)
    return opened


def _plain(kept: Sequence[Kept], told: Sealed) -> list[dict[str, object]]:
    """``genuine``: whether the log says that this very ciphertext was stored."""
    return [
        {
            "kind": one.kind,
            "model": one.model,
            "state": one.state,
            "stored": one.stored and one.stored.isoformat(),
            "genuine": (one.kind, one.digest) in told.hashes if one.state == "kept" else None,
            "text": one.text,
        }
        for one in kept
    ]


def _write(path: Path, plain: object) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf8") as file:
        json.dump(plain, file, indent=2)
