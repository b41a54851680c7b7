"""Disclosure: what was kept of a request, and what a stranger needs to check a text against the log's commitments."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from isthmus.errors import NotFound
from isthmus.governance.audit.commitments import opens
from isthmus.governance.audit.reading.reader import Reader
from isthmus.governance.audit.tree.entries import decode
from isthmus.orchestration.erasure import ERASED


class Kept(Protocol):
    """One text that was kept (``isthmus.data.vault.Kept``)."""

    @property
    def kind(self) -> str: ...

    @property
    def model(self) -> str: ...

    @property
    def state(self) -> str: ...

    @property
    def stored(self) -> datetime | None: ...

    @property
    def digest(self) -> str: ...

    @property
    def text(self) -> str | None: ...


class Opener(Protocol):
    """The vault's side of it."""

    def opened(self, request: str) -> Sequence[Kept]: ...

    def salt(self, subject: str, request: str) -> bytes | None: ...


@dataclass(frozen=True, slots=True)
class Commitment:
    """One commitment in the log. ``kind``: ``prompt``, ``answer``, or ``name`` of a key. ``erased``: the number of the
    entry after which it cannot be opened any more."""

    entry: int
    kind: str
    committed: str
    erased: int | None


@dataclass(frozen=True, slots=True)
class Trail:
    """What the log has on a request: whose it is, its commitments, the hashes of what was sealed, and the number of
    the entry that erased it."""

    request: str
    subject: str
    commitments: tuple[Commitment, ...]
    sealed: frozenset[tuple[str, str]]
    erased: int | None

    def genuine(self, kept: Kept) -> bool:
        """Whether the log says that this very ciphertext was stored."""
        return (kept.kind, kept.digest) in self.sealed


def trail(reader: Reader, request: str) -> Trail:
    """Read the log for a request (or a key's id, for its name). Raises :class:`NotFound` where it has none."""
    mark = json.dumps(request, ensure_ascii=False).encode("utf8", "replace")
    events = list(_events(reader, mark, b'"type":"subject.erased"'))
    told = [event for event in events if _tells(event, request)]
    if not told:
        raise NotFound(f"The log has no entry of request {request!r}.", hint="List the newest: isthmus audit list")
    subject = str(told[0].get("principal") or request)
    erasures = [int(event["seq"]) for event in events if _erases(event, subject)]
    made = [
        Commitment(event["seq"], kind, committed, next((seq for seq in erasures if seq > event["seq"]), None))
        for event in told
        for kind, committed in _committed(event)
    ]
    sealed = {(kind, digest) for event in told for kind, digest in (event.get("sealed") or {}).items()}
    erased = next((one.erased for one in made if one.erased is not None), None)
    return Trail(request, subject, tuple(made), frozenset(sealed), erased)


def disclosed(vault: Opener, found: Trail, text: str | None) -> dict[str, object]:
    """What to hand to a stranger: the salt, the commitments with their entries' numbers, and for each the text that
    was committed to. ``text``: one that is claimed, in place of what was kept.

    The salt is given only where there is a commitment that it can open.
    """
    salt = vault.salt(found.subject, found.request)
    if text is None:
        claimed = [one.text for one in vault.opened(found.request) if one.text is not None]
    else:
        claimed = [text, text.removesuffix("\n")]  # an editor ends a file with a new line
    entries = [_entry(one, salt, claimed) for one in found.commitments]
    openable = any(entry["erased"] is None for entry in entries)
    return {
        "request": found.request,
        "subject": found.subject,
        "salt": salt.hex() if salt is not None and openable else None,
        "commitments": entries,
        "check": "SHA-256(salt || text in UTF-8) is the commitment in the entry",
    }


def _entry(one: Commitment, salt: bytes | None, claimed: Sequence[str]) -> dict[str, object]:
    found = None
    if salt is not None:
        found = next((text for text in claimed if opens(one.committed, salt, text)), None)
    # what opens is not erased: it was committed to under the next secret while an erasure was going on
    erased = one.erased if found is None else None
    told: dict[str, object] = {"entry": one.entry, "kind": one.kind, "commitment": one.committed, "erased": erased}
    if found is not None:
        told |= {"matches": True, "text": found}
    elif erased is None and salt is not None and claimed:
        told["matches"] = False
    return told


def _committed(event: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for kind in ("prompt", "answer"):
        if isinstance(committed := event.get(kind), str):
            yield kind, committed
    if event.get("type") == "key.created" and isinstance(name := event["key"].get("name"), str):
        yield "name", name


def _tells(event: Mapping[str, Any], request: str) -> bool:
    if event.get("type") == "key.created":
        return bool(event["key"].get("id") == request)
    return event.get("request") == request and "principal" in event


def _erases(event: Mapping[str, Any], subject: str) -> bool:
    return event.get("type") == ERASED and event.get("subject") == subject


def _events(reader: Reader, *marks: bytes) -> Iterator[dict[str, Any]]:
    """Entries that hold one of the marks, decoded."""
    for index, entry in reader.entries():
        if any(mark in entry for mark in marks) and (event := decode(entry, index)) is not None:
            yield event
