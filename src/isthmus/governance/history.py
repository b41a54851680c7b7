"""What the log said last of something that stays in force until it is changed: the configuration, the policy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from isthmus.errors import NotFound
from isthmus.governance.audit.reading.reader import Reader
from isthmus.governance.audit.tree.entries import decode
from isthmus.governance.audit.tree.layout import WIDTH


class Places(Protocol):
    """Entry numbers by name, kept outside the log to spare a search."""

    def find(self, name: str) -> int | None: ...

    def keep(self, name: str, index: int) -> None: ...


class History:
    """``reader`` opens the log anew each time. What ``places`` says is looked up in the log, and where the log says
    otherwise (a store that was restored or lost) the log is searched from its end."""

    def __init__(self, reader: Callable[[], Reader], places: Places) -> None:
        self._reader = reader
        self._places = places

    def latest(self, name: str, types: frozenset[str]) -> dict[str, Any] | None:
        """The last entry of one of these types; ``None`` where the log has none."""
        try:
            reader = self._reader()
            kept = self._places.find(name)
            found = None if kept is None else _of(next(reader.entries(kept), None), types)
            return found or next(_backwards(reader, types), None)
        except NotFound:
            return None

    def keep(self, name: str, index: int) -> None:
        """The entry of this number is the last one of that name."""
        self._places.keep(name, index)


def _of(entry: tuple[int, bytes] | None, types: frozenset[str]) -> dict[str, Any] | None:
    event = None if entry is None else decode(entry[1], entry[0])
    return event if event is not None and event.get("type") in types else None


def _backwards(reader: Reader, types: frozenset[str]) -> Iterator[dict[str, Any]]:
    """From the newest checkpoint to the first entry, bundle by bundle."""
    for bundle in range(reader.checkpoint().checkpoint.size // WIDTH, -1, -1):
        entries = list(_bundle(reader, bundle * WIDTH))
        yield from (event for entry in reversed(entries) if (event := _of(entry, types)) is not None)


def _bundle(reader: Reader, first: int) -> Iterator[tuple[int, bytes]]:
    for index, entry in reader.entries(first):
        if index >= first + WIDTH:
            return
        yield index, entry
