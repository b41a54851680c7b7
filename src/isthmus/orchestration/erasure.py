"""Erasure of a subject: its secret is destroyed, and with it the salts of its commitments and the keys of its content.

The log says what is to be done before it is done (``erasure.requested``), and that it was (``subject.erased``). So it
can be finished by whoever finds it half done in the same store, and it is done again on a database that was restored
from a backup: each store knows how much of the log it has followed. Hosts that share a log have a store each, and none
speaks for another's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from isthmus.errors import InvalidRequest, NotFound
from isthmus.governance.audit.answers import facts
from isthmus.governance.audit.answers.facts import Event
from isthmus.governance.audit.answers.search import Query, Scan, oldest_first
from isthmus.governance.audit.reading.reader import Reader
from isthmus.seams import AuditLog, Clock

if TYPE_CHECKING:
    from isthmus.data.vault import Vault

REQUESTED, ERASED = "erasure.requested", "subject.erased"
_WANTED = Query(type=frozenset({REQUESTED, ERASED}))
_LONGEST_WHY = 1000  # characters


def reason(why: str) -> str:
    """Why, as it goes into the log. Raises :class:`InvalidRequest` where it says nothing, or too much."""
    if not why.strip() or len(why) > _LONGEST_WHY:
        raise InvalidRequest(f"Say why, in 1 to {_LONGEST_WHY} characters.")
    return why


@dataclass(frozen=True, slots=True)
class Erasure:
    """``entry`` is the number of the entry that says so. ``valid_key``: the subject is a key that is not revoked."""

    subject: str
    records: int
    entry: int
    valid_key: bool

    def as_dict(self) -> dict[str, object]:
        return {"subject": self.subject, "records": self.records, "entry": self.entry, "valid_key": self.valid_key}


class Erasures:
    """``reader`` opens the log that ``log`` writes."""

    def __init__(self, vault: Vault, log: AuditLog, reader: Callable[[], Reader], clock: Clock) -> None:
        self._vault, self._log, self._reader, self._clock = vault, log, reader, clock

    async def erase(self, subject: str, *, by: str, why: str) -> Erasure:
        """Erase a subject. Raises :class:`NotFound` for one that never was, and what the log and the store raise:
        then it is finished by the next ``erase`` or ``follow``."""
        why = reason(why)
        await self.follow()
        standing = await asyncio.to_thread(self._vault.standing, subject)
        if standing is None:
            raise NotFound(f"There is no subject {subject!r}.", hint="It is a key's id: see `isthmus keys list`.")
        told = {"subject": subject, "generation": standing.generation, "by": by, "why": why}
        await self._log.append({"type": REQUESTED, **told, "records": standing.records}, flush=True)
        entry, records = await self._destroy({**told, "records": standing.records})
        return Erasure(subject, records, entry, standing.valid_key)

    async def follow(self) -> int:
        """Finish what was begun, and erase again what a restored database brought back. How many subjects."""
        reader = await asyncio.to_thread(self._reader)
        size = reader.checkpoint().checkpoint.size
        seen = await asyncio.to_thread(self._vault.seen)
        if seen == size:
            return 0
        done = 0
        if not await asyncio.to_thread(self._vault.deserted):
            done = await self._do(await asyncio.to_thread(_wanted, reader, seen if seen < size else 0, size))
        await asyncio.to_thread(self._vault.see, size)
        return done

    async def _do(self, wanted: _Wanted) -> int:
        """What the log asks for, so far as it asks this store. How many subjects."""
        done = 0
        for event in wanted.begun.values():
            done += await self._finish(event)
        for event in wanted.finished.values():
            done += await self._again(event)
        return done

    async def _finish(self, event: Event) -> bool:
        """Whether the secret is one of this store's. Of another host's only that host can say that it is destroyed."""
        if not await asyncio.to_thread(self._vault.knows, event["subject"], event["generation"]):
            return False
        await self._destroy(event)
        return True

    async def _again(self, event: Event) -> bool:
        """Whether the generation that was erased is there once more."""
        standing = await asyncio.to_thread(self._vault.standing, event["subject"])
        if standing is None or not standing.generation or standing.generation != event["generation"]:
            return False
        await self._destroy({**event, "records": standing.records, "again": True})
        return True

    async def _destroy(self, event: Event) -> tuple[int, int]:
        """Destroy, and say so once nobody uses it any more: the entry's number, and how many records."""
        records = await asyncio.to_thread(self._vault.destroy, event["subject"], event["generation"])
        records = max(records, event["records"])  # those that went before a crash count too
        await self._clock.sleep(self._vault.settled)
        entry = await self._log.append({**event, "type": ERASED, "records": records}, flush=True)
        return entry, records


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Erasures by subject and generation: those that were begun only, and those that were finished."""

    begun: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    finished: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)

    def take(self, event: Event) -> None:
        told: dict[str, Any] = {name: facts.text(event, name) for name in ("subject", "generation", "by", "why")}
        told["records"] = facts.number(event, "records")
        which = (told["subject"], told["generation"])
        if event["type"] == REQUESTED:
            self.begun[which] = told
        else:
            self.begun.pop(which, None)
            self.finished[which] = told


def _wanted(reader: Reader, start: int, size: int) -> _Wanted:
    """What the entries from ``start`` to ``size`` ask for. Raises :class:`isthmus.errors.VerificationFailed` where one
    of them is missing or broken: what was passed over once is not looked at again."""
    wanted = _Wanted()
    for found in Scan(islice(oldest_first(reader, start), size - start)).all(_WANTED):
        wanted.take(found.event)
    return wanted
