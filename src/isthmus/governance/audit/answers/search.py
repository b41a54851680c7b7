"""Finding entries: a query as a value, and one pass over the log in either direction.

A log is long and a query is narrow, so an entry is decoded only where its bytes hold what is asked for: entries are
canonical JSON, in which a name has one spelling.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from types import MappingProxyType
from typing import Protocol

from isthmus.errors import NotFound, VerificationFailed
from isthmus.governance.audit.answers import facts
from isthmus.governance.audit.answers.facts import Event
from isthmus.governance.audit.answers.moments import EVER, Span
from isthmus.governance.audit.reading.reader import Reader
from isthmus.governance.audit.tree.entries import decode
from isthmus.governance.audit.tree.layout import WIDTH
from isthmus.labels import Level

_NONE: frozenset[str] = frozenset()

#: For each field of a query, what of an entry it is compared with.
_FACTS: Mapping[str, Callable[[Event], set[str]]] = MappingProxyType(
    {
        "type": facts.types,
        "request": facts.requests,
        "principal": facts.principals,
        "model": lambda event: facts.names([event.get("model")]),
        "collection": facts.collections,
        "document": facts.documents,
        "label": facts.levels,
        "category": facts.categories,
        "rule": facts.rules,
        "code": facts.codes,
    }
)
#: The fields that take names.
FIELDS = tuple(_FACTS)


class Wanted(Protocol):
    """What a pass looks for. ``may_match`` looks at bytes alone, and says no only where ``matches`` would."""

    def matches(self, event: Event) -> bool: ...

    def may_match(self) -> Callable[[bytes], bool]: ...


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for. Each field narrows; of several names in one field any will do. An empty query finds all.

    ``type`` takes a type or its family (``document``), ``request`` also finds calls made on its behalf, ``principal``
    also who changed something or whose key it was, ``rule`` also what denied other models, ``label`` takes a level.
    ``at_least`` finds that level and those above it, also ones that this version does not know. ``time`` is by the
    log's own clock.
    """

    type: frozenset[str] = _NONE
    request: frozenset[str] = _NONE
    principal: frozenset[str] = _NONE
    model: frozenset[str] = _NONE
    collection: frozenset[str] = _NONE
    document: frozenset[str] = _NONE
    label: frozenset[str] = _NONE
    category: frozenset[str] = _NONE
    rule: frozenset[str] = _NONE
    code: frozenset[str] = _NONE
    at_least: Level | None = None
    time: Span = EVER

    def matches(self, event: Event) -> bool:
        """Whether the entry is one that is looked for."""
        named = ((getattr(self, name), told) for name, told in _FACTS.items())
        return all(not wanted.isdisjoint(told(event)) for wanted, told in named if wanted) and (
            self._high_enough(event) and self.time.holds(facts.moment(event))
        )

    def may_match(self) -> Callable[[bytes], bool]:
        """A quick look at an entry's bytes: false only where the entry cannot match."""
        marks = [_marks(name, getattr(self, name)) for name in _FACTS if getattr(self, name)]
        high = None if self.at_least is None else _from_level(self.at_least)

        def look(entry: bytes) -> bool:
            for alternatives in marks:
                if not any(mark in entry for mark in alternatives):
                    return False
            return high is None or high.search(entry) is not None

        return look

    def _high_enough(self, event: Event) -> bool:
        return self.at_least is None or any(facts.rank(level) >= self.at_least for level in facts.levels(event))


def _marks(name: str, wanted: frozenset[str]) -> list[bytes]:
    """How the names stand in an entry's bytes. A type may go on after its family."""
    spelled = map(spell, wanted)
    return [b'"type":' + one[:-1] for one in spelled] if name == "type" else list(spelled)


def spell(name: str) -> bytes:
    """A text as it stands in an entry, quotes included."""
    return json.dumps(name, ensure_ascii=False).encode("utf8", "replace")


def _from_level(level: Level) -> re.Pattern[bytes]:
    below = "|".join(str(one) for one in Level if one < level)
    # any spelling but the plain one is no level of ours, and counts as above all
    return re.compile(rf'"level":"(?!(?:{below})")'.encode() if below else b'"level":"')


@dataclass(frozen=True, slots=True)
class Found:
    """An entry: its number, the bytes that were hashed, and what they say."""

    index: int
    entry: bytes
    event: Event


@dataclass(slots=True)
class Scan:
    """One pass over entries with their numbers, and what became of it: how many were ``read``, the number of the
    ``last`` one, and of those that are ``broken``: no entry of this place, or not the one that was signed for, as
    ``genuine`` has it (:mod:`isthmus.governance.audit.reading.proven`). ``advance`` hears of every 256 read."""

    entries: Iterable[tuple[int, bytes]]
    advance: Callable[[int], object] = lambda _: None
    genuine: Callable[[int, bytes], bool] = lambda _, __: True
    read: int = 0
    last: int | None = None
    broken: list[int] = field(default_factory=list)

    def find(self, wanted: Wanted) -> Iterator[Found]:
        """Those that match, in the order of the pass."""
        may_match = wanted.may_match()
        for index, entry in self._counted():
            if not self.genuine(index, entry):
                self.broken.append(index)
                continue
            if not may_match(entry):
                continue
            event = decode(entry, index)
            if event is None:
                self.broken.append(index)
            elif wanted.matches(event):
                yield Found(index, entry, event)

    def all(self, wanted: Wanted) -> Iterator[Found]:
        """As ``find``, for an answer that must not be from half a log: raises :class:`VerificationFailed` at an entry
        that may be one of those and is broken."""
        for found in self.find(wanted):
            self._whole()
            yield found
        self._whole()

    def _whole(self) -> None:
        if self.broken:
            index = self.broken[0]
            raise VerificationFailed(
                f"Entry {index} is not what a log holds at that place.",
                hint="Keep the files as they are and run `isthmus audit verify`, which names what was changed.",
                details={"index": index},
            )

    def _counted(self) -> Iterator[tuple[int, bytes]]:
        for one in self.entries:
            self.read, self.last = self.read + 1, one[0]
            if self.read % WIDTH == 0:
                self.advance(WIDTH)
            yield one


def signed_size(reader: Reader) -> int:
    """How many entries the newest checkpoint covers; 0 before the first."""
    try:
        return reader.checkpoint().checkpoint.size
    except NotFound:
        return 0


def oldest_first(reader: Reader, start: int = 0) -> Iterator[tuple[int, bytes]]:
    """Every entry from ``start`` on. Raises :class:`VerificationFailed` where one that was signed for is missing: an
    answer from half a log is none."""
    signed, following = signed_size(reader), start
    for index, entry in reader.entries(start):
        yield index, entry
        following = index + 1
    if following < signed:
        raise _missing(following, signed)


def newest_first(reader: Reader, before: int | None = None) -> Iterator[tuple[int, bytes]]:
    """Every entry below ``before`` (default: the end), the newest first; memory for one bundle."""
    last = _last_bundle(reader)
    if before is not None:
        last = min(last, (before - 1) // WIDTH)
    signed = signed_size(reader)
    for bundle in range(last, -1, -1):
        entries = list(islice(reader.entries(bundle * WIDTH), WIDTH))
        whole = min(WIDTH, signed - bundle * WIDTH)
        if len(entries) < whole:
            raise _missing(bundle * WIDTH + len(entries), signed)
        yield from (one for one in reversed(entries) if before is None or one[0] < before)


def _last_bundle(reader: Reader) -> int:
    bundle = signed_size(reader) // WIDTH
    while next(reader.entries((bundle + 1) * WIDTH), None) is not None:
        bundle += 1
    return bundle


def _missing(index: int, signed: int) -> VerificationFailed:
    return VerificationFailed(
        f"Entry {index} is missing: the checkpoint covers {signed} entries.", details={"index": index}
    )
