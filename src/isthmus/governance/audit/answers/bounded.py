"""A request's story, and what somebody received, for those who ask by HTTP: bounded in what is read of a long log.

What the bounds rest on is the log's clock: that within :data:`SLACK` it agrees with the order of the entries, and that
a request takes no longer. The commands rest on nothing, and read all.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from isthmus.errors import InvalidRequest, NotFound, VerificationFailed
from isthmus.governance.audit.answers import facts
from isthmus.governance.audit.answers.moments import Span
from isthmus.governance.audit.answers.pages import MOST_READ
from isthmus.governance.audit.answers.resting import resting
from isthmus.governance.audit.answers.search import Found, Scan, newest_first
from isthmus.governance.audit.answers.sent import Recipient, Sent, count, covered
from isthmus.governance.audit.answers.story import About
from isthmus.governance.audit.reading.proven import Proven, proven
from isthmus.governance.audit.reading.reader import Reader
from isthmus.governance.audit.tree.entries import decode
from isthmus.governance.audit.tree.layout import WIDTH

SLACK = timedelta(hours=1)
#: What a request may begin with; a failure and an outcome have an intent before them.
_FIRST = frozenset({"intent", "stopped", "abstained"})
_OWN = _FIRST | {"outcome", "failed"}


@dataclass(frozen=True, slots=True)
class Account:
    """The entries of a request in the log's order, and ``later`` ones that say what became of what was kept. ``next``
    is the lowest entry that was read; ``complete`` says that nothing of the request is below it."""

    found: tuple[Found, ...]
    later: tuple[Found, ...]
    next: int
    complete: bool
    broken: tuple[int, ...]


def account(reader: Reader, request: str, before: int | None = None, most: int = MOST_READ) -> Account:
    """Read back from entry ``before`` (default: the end) until the request is whole: at most ``most`` entries that are
    not its own in a row. Raises :class:`NotFound` where none of them is the request's, saying where to go on."""
    way = _Way(request, most)
    scan = Scan(way.down(resting(newest_first(reader, before))), genuine=proven(reader))
    about, later = About(request), list[Found]()
    for one in scan.find(about):
        if about.owns(one.event):
            way.met(one)
        else:
            later.append(one)
    lowest = scan.last or 0
    if not way.found and lowest:
        raise NotFound(
            f"From entry {lowest} on, the log has none of this request.",
            hint=f"Go on with before_entry={lowest}, or run `isthmus audit show`, which reads all.",
            details={"before_entry": lowest},
        )
    if not way.found:
        raise NotFound("The log has no entry of this request.")
    return Account(tuple(way.found[::-1]), tuple(later[::-1]), lowest, way.whole or not lowest, tuple(scan.broken))


class _Way:
    """The way down the log, and where it ends."""

    def __init__(self, request: str, most: int) -> None:
        self._request, self._most, self._left = request, most, most
        self._began: datetime | None = None
        self.found, self.whole = list[Found](), False

    def met(self, one: Found) -> None:
        """An entry of the request, or of a call on its behalf."""
        self.found.append(one)
        kind = facts.text(one.event, "type")
        if one.event.get("request") == self._request and kind in _OWN:
            self._left = self._most
        if one.event.get("request") == self._request and kind in _FIRST:
            self._began = facts.moment(one.event)

    def down(self, entries: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
        for index, entry in entries:
            if index % WIDTH == WIDTH - 1:
                self.whole = self._is_before(index, entry)
            if self.whole or not self._left:
                return
            self._left -= 1
            yield index, entry

    def _is_before(self, index: int, entry: bytes) -> bool:
        at = facts.moment(decode(entry, index) or {})
        return self._began is not None and at is not None and at < self._began - SLACK


def count_within(reader: Reader, to: Recipient, span: Span, most: int = MOST_READ) -> tuple[Sent, range]:
    """What ``to`` received in that time, and the entries that were read for it.

    Raises :class:`InvalidRequest` where that time has more than ``most`` entries, and what
    :func:`.sent.count_sent` does.
    """
    signed = reader.checkpoint()
    within = _within(reader, signed.checkpoint.size, span)
    if len(within) > most:
        raise InvalidRequest(
            f"from: that time has about {len(within)} entries, and at most {most} are read at once by HTTP.",
            hint="Narrow it with `from` and `until`, or run `isthmus audit sent`, which reads all.",
            details={"entries": len(within)},
        )
    genuine = Proven(reader.storage, signed.checkpoint)
    return count(signed, Scan(resting(covered(reader, within)), genuine=genuine), to, span), within


def _within(reader: Reader, size: int, span: Span) -> range:
    """The entries of that time, with some before and after it."""
    bundles = range(-(-size // WIDTH))

    def began(n: int) -> datetime:
        return _began(reader, n)

    first, end = 0, len(bundles)
    if span.since is not None:
        first = max(bisect_left(bundles, span.since - SLACK, key=began) - 1, 0)
    if span.until is not None:
        end = bisect_left(bundles, span.until + SLACK, lo=first, key=began)
    return range(first * WIDTH, min(end * WIDTH, size))


def _began(reader: Reader, n: int) -> datetime:
    """The time of a bundle's first entry that has one."""
    for index, entry in reader.entries(n * WIDTH):
        if (at := facts.moment(decode(entry, index) or {})) is not None:
            return at
        if index % WIDTH == WIDTH - 1:
            break
    raise VerificationFailed(f"Entry {n * WIDTH} is no entry of this place.", details={"index": n * WIDTH})
