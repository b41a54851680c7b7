"""A page of what a query finds, for those who ask by HTTP: bounded in what it holds and in what it reads."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

from isthmus.governance.audit.answers.resting import resting
from isthmus.governance.audit.answers.search import Found, Query, Scan, newest_first, oldest_first
from isthmus.governance.audit.reading.proven import proven
from isthmus.governance.audit.reading.reader import Reader

#: Entries that one page reads at most.
MOST_READ = 50_000


@dataclass(frozen=True, slots=True)
class Page:
    """``next`` is where the following page begins, whether or not this one found anything; ``complete`` says that the
    pass came to its end."""

    found: tuple[Found, ...]
    next: int
    complete: bool
    read: int
    broken: tuple[int, ...]


def oldest_page(reader: Reader, query: Query, start: int, limit: int) -> Page:
    """At most ``limit`` matches from entry ``start`` on. At the end of the log, ``next`` is the entry still to come."""
    scan = Scan(resting(islice(oldest_first(reader, start), MOST_READ)), genuine=proven(reader))
    found = tuple(islice(scan.find(query), limit))
    following = start if scan.last is None else scan.last + 1
    return _page(found, following, scan, limit)


def newest_page(reader: Reader, query: Query, before: int | None, limit: int) -> Page:
    """At most ``limit`` matches below entry ``before`` (default: the end), the newest first."""
    scan = Scan(resting(islice(newest_first(reader, before), MOST_READ)), genuine=proven(reader))
    found = tuple(islice(scan.find(query), limit))
    return _page(found, scan.last or 0, scan, limit)


def _page(found: tuple[Found, ...], following: int, scan: Scan, limit: int) -> Page:
    complete = len(found) < limit and scan.read < MOST_READ
    return Page(found, following, complete, scan.read, tuple(scan.broken))
