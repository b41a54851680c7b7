"""Disclosure: what was kept of a request, and what a stranger needs to check a text against the log's commitments."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from isthmus.errors import NotFound
from isthmus.governance.audit.answers import facts
from isthmus.governance.audit.answers.facts import Event
from isthmus.governance.audit.answers.search import Scan, oldest_first, spell
from isthmus.governance.audit.commitments import opens
from isthmus.governance.audit.reading.reader import Reader
from isthmus.orchestration.erasure import ERASED

if TYPE_CHECKING:
    from isthmus.data.vault import Kept, Vault


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


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a trail is made of: the entries of a request (of a key: that it was made), and whose erasures there were."""

    request: str

    def matches(self, event: Event) -> bool:
        return self.tells(event) or event.get("type") == ERASED

    def may_match(self) -> Callable[[bytes], bool]:
        request, erased = spell(self.request), b'"type":' + spell(ERASED)
        return lambda entry: request in entry or erased in entry

    def tells(self, event: Event) -> bool:
        if event.get("type") == "key.created":
            return facts.part(event, "key").get("id") == self.request
        return event.get("request") == self.request and "principal" in event


def trail(reader: Reader, request: str) -> Trail:
    """Read the log for a request (or a key's id, for its name). Raises :class:`NotFound` where it has none, and
    :class:`isthmus.errors.VerificationFailed` where an entry is missing, or one that may be of it is broken."""
    wanted = _Wanted(request)
    found = list(Scan(oldest_first(reader)).all(wanted))
    told = [one for one in found if wanted.tells(one.event)]
    if not told:
        raise NotFound(f"The log has no entry of request {request!r}.", hint="List the newest: isthmus audit list")
    subject = facts.text(told[0].event, "principal") or request
    erasures = [one.index for one in found if _erases(one.event, subject)]
    made = [
        Commitment(one.index, kind, committed, next((index for index in erasures if index > one.index), None))
        for one in told
        for kind, committed in _committed(one.event)
    ]
    sealed = {(kind, str(digest)) for one in told for kind, digest in facts.part(one.event, "sealed").items()}
    erased = next((one.erased for one in made if one.erased is not None), None)
    return Trail(request, subject, tuple(made), frozenset(sealed), erased)


def disclosed(vault: Vault, found: Trail, text: str | None) -> dict[str, object]:
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


def _committed(event: Event) -> Iterator[tuple[str, str]]:
    for kind in ("prompt", "answer"):
        if committed := facts.text(event, kind):
            yield kind, committed
    if event.get("type") == "key.created" and (name := facts.text(facts.part(event, "key"), "name")):
        yield "name", name


def _erases(event: Event, subject: str) -> bool:
    return event.get("type") == ERASED and event.get("subject") == subject
