"""Erasure of a subject: its secret is destroyed, and with it the salts of its commitments and the keys of its content.

The log says what is to be done before it is done (``erasure.requested``), and that it was (``subject.erased``). So it
can be finished by whoever finds it half done, and it is done again on a database that was restored from a backup: each
store knows how much of the log it has followed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from isthmus.errors import InvalidRequest, NotFound
from isthmus.governance.audit.reading.reader import Reader
from isthmus.governance.audit.tree.entries import decode
from isthmus.seams import AuditLog, Clock

REQUESTED, ERASED = "erasure.requested", "subject.erased"
#: Spares decoding the rest of the log: entries are canonical JSON, and a quote in a value is escaped.
_MARKS = tuple(f'"type":"{type}"'.encode() for type in (REQUESTED, ERASED))
_LONGEST_WHY = 1000  # characters
#: Seconds until no process uses a destroyed secret from memory (twice what each allows itself).
_SETTLE = 1.0


def reason(why: str) -> str:
    """Why, as it goes into the log. Raises :class:`InvalidRequest` where it says nothing, or too much."""
    if not why.strip() or len(why) > _LONGEST_WHY:
        raise InvalidRequest(f"Say why, in 1 to {_LONGEST_WHY} characters.")
    return why


class Standing(Protocol):
    """What the store holds of a subject now."""

    @property
    def generation(self) -> str: ...

    @property
    def records(self) -> int: ...

    @property
    def valid_key(self) -> bool: ...


class Destroyer(Protocol):
    """The vault's side of it (``isthmus.data.vault``). Every method raises :class:`isthmus.errors.StoreUnavailable`."""

    def standing(self, subject: str) -> Standing | None: ...

    def destroy(self, subject: str, generation: str) -> int: ...

    def seen(self) -> int: ...

    def see(self, entries: int) -> None: ...


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

    def __init__(self, vault: Destroyer, log: AuditLog, reader: Callable[[], Reader], clock: Clock) -> None:
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
        wanted = await asyncio.to_thread(_wanted, reader, seen if seen < size else 0, size)
        done = 0
        for event in wanted.begun.values():
            await self._destroy(event)
            done += 1
        for event in wanted.finished.values():
            done += await self._again(event)
        await asyncio.to_thread(self._vault.see, size)
        return done

    async def _again(self, event: Mapping[str, Any]) -> bool:
        """Whether the generation that was erased is there once more."""
        standing = await asyncio.to_thread(self._vault.standing, event["subject"])
        if standing is None or not standing.generation or standing.generation != event["generation"]:
            return False
        await self._destroy({**event, "records": standing.records, "again": True})
        return True

    async def _destroy(self, event: Mapping[str, Any]) -> tuple[int, int]:
        """Destroy, and say so once nobody uses it any more: the entry's number, and how many records."""
        records = await asyncio.to_thread(self._vault.destroy, event["subject"], event["generation"])
        records = max(records, event["records"])  # those that went before a crash count too
        await self._clock.sleep(_SETTLE)
        entry = await self._log.append({**event, "type": ERASED, "records": records}, flush=True)
        return entry, records


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Erasures by subject and generation: those that were begun only, and those that were finished."""

    begun: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    finished: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)

    def take(self, event: Mapping[str, Any]) -> None:
        told = {name: event.get(name, "") for name in ("subject", "generation", "by", "why")}
        told["records"] = records if isinstance(records := event.get("records"), int) else 0
        which = (str(told["subject"]), str(told["generation"]))
        if event["type"] == REQUESTED:
            self.begun[which] = told
        else:
            self.begun.pop(which, None)
            self.finished[which] = told


def _wanted(reader: Reader, start: int, size: int) -> _Wanted:
    """What the entries from ``start`` to ``size`` ask for."""
    wanted = _Wanted()
    for index, entry in reader.entries(start):
        if index >= size:
            break
        if any(mark in entry for mark in _MARKS):
            event = decode(entry, index)
            if event is not None and event.get("type") in (REQUESTED, ERASED):
                wanted.take(event)
    return wanted
