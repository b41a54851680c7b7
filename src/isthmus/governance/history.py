"""What the log said last of something that stays in force until it is changed: the configuration, the policy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice, takewhile

from isthmus.data.places import Kept, Places
from isthmus.errors import NotFound
from isthmus.governance.audit.answers.facts import Event
from isthmus.governance.audit.answers.search import Found, Query, Scan, newest_first, signed_size
from isthmus.governance.audit.reading.reader import Reader

#: Entries, so many that passing them once more costs more than to keep a place.
_MANY = 10_000


class History:
    """``reader`` opens the log anew each time. It is searched from its end, down to where ``places`` says that it was
    read before: since then somebody else may have written, or the store may have been restored from a backup. Where
    the log does not say what the place says, all of it is searched.
    """

    def __init__(self, reader: Callable[[], Reader], places: Places) -> None:
        self._reader = reader
        self._places = places

    def latest(self, name: str, types: frozenset[str]) -> Event | None:
        """The last entry of one of these types; ``None`` where the log has none.

        Raises :class:`isthmus.errors.VerificationFailed` where an entry that must be read is missing or broken.
        """
        try:
            reader = self._reader()
        except NotFound:
            return None
        wanted, signed, kept = Query(type=types), signed_size(reader), self._places.find(name)
        known = None if kept is None or kept.read > signed else _at(reader, kept.index, wanted)
        start = 0 if kept is None or known is None else kept.read
        found = next(Scan(_newest_first(reader, start)).all(wanted), known)
        if found is not None and found.index < signed and signed - start >= _MANY:
            self._places.keep(name, Kept(found.index, signed))
        return None if found is None else found.event

    def keep(self, name: str, index: int) -> None:
        """The entry of this number, which is on disk, is the last one of that name."""
        self._places.keep(name, Kept(index, index + 1))


def _newest_first(reader: Reader, start: int) -> Iterator[tuple[int, bytes]]:
    return takewhile(lambda one: one[0] >= start, newest_first(reader))


def _at(reader: Reader, index: int, wanted: Query) -> Found | None:
    """The entry of that number, where it is one of those."""
    entry = islice(newest_first(reader, index + 1), 1)
    return next((one for one in Scan(entry).find(wanted) if one.index == index), None)
