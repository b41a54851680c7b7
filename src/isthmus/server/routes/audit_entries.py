"""GET /api/audit/entries, requests and sent: the log for auditors. Entries hold no content, and still tell much: who
asked, under which label, from which documents. So the role ``auditor`` alone may read them; an administrator makes
such a key, and that is an entry of the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from itertools import islice

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Scope

from isthmus.cards import Card
from isthmus.errors import InvalidRequest, NotFound
from isthmus.governance.audit.answers.bounded import account, count_within
from isthmus.governance.audit.answers.moments import Span, span
from isthmus.governance.audit.answers.naming import unknown
from isthmus.governance.audit.answers.pages import newest_page, oldest_page
from isthmus.governance.audit.answers.resting import resting
from isthmus.governance.audit.answers.search import FIELDS, Query, Scan, oldest_first, signed_size
from isthmus.governance.audit.answers.sent import Recipient, recipient
from isthmus.governance.audit.answers.story import tell
from isthmus.governance.audit.reading.proven import not_signed, proven
from isthmus.governance.audit.reading.reader import Reader
from isthmus.governance.audit.tree.merkle import leaf_hash
from isthmus.governance.audit.tree.storage import Storage
from isthmus.labels import Level
from isthmus.principals import Principal

#: Each may be another the next moment.
_MUTABLE = {"cache-control": "no-store"}
_SPAN = frozenset({"from", "until"})
_PAGE = frozenset({"limit", "from_entry", "before_entry"})
_MOST, _USUAL = 1000, 100
_LONGEST_NUMBER = 18  # digits


def routes(storage: Storage, cards: Mapping[str, Card], authenticate: Callable[[Scope], Principal]) -> list[Route]:
    """One reading at a time, bounded, in a thread that rests: whoever answers questions goes first."""
    desk = _Desk(storage, authenticate)

    async def search(request: Request) -> Response:
        desk.admit(request)
        asked = _Asked(request.query_params, {*FIELDS, "at_least", *_SPAN, *_PAGE})
        return await desk.read(lambda reader: _page(reader, asked))

    async def entry(request: Request) -> Response:
        desk.admit(request)
        index = request.path_params["index"]
        if not (index.isascii() and index.isdecimal() and len(index) <= _LONGEST_NUMBER):
            raise NotFound("An entry's number is a plain decimal number.")
        return await desk.read(lambda reader: _entry(reader, int(index)))

    async def story(request: Request) -> Response:
        desk.admit(request)
        before = _Asked(request.query_params, {"before_entry"}).number("before_entry")
        return await desk.read(lambda reader: _story(reader, request.path_params["request"], before))

    async def sent(request: Request) -> Response:
        desk.admit(request)
        asked = _Asked(request.query_params, {"to", *_SPAN})
        whom = recipient(asked.one("to"), cards.values())
        asked.one("from")  # a log is long
        when = asked.span()
        return await desk.read(lambda reader: _sent(reader, whom, when))

    return [
        Route("/api/audit/entries", search),
        Route("/api/audit/entries/{index}", entry),
        Route("/api/audit/requests/{request}", story),
        Route("/api/audit/sent", sent),
    ]


class _Desk:
    """Where auditors read."""

    def __init__(self, storage: Storage, authenticate: Callable[[Scope], Principal]) -> None:
        self._storage, self._authenticate = storage, authenticate
        self._turn = asyncio.Semaphore(1)

    def admit(self, request: Request) -> None:
        self._authenticate(request.scope).require("auditor")

    async def read(self, work: Callable[[Reader], Mapping[str, object]]) -> Response:
        async with self._turn:
            told = await asyncio.to_thread(lambda: work(Reader(self._storage)))
            return JSONResponse(told, headers=_MUTABLE)


class _Asked:
    """The parameters of an address. Every failure is :class:`InvalidRequest`, and names the field."""

    def __init__(self, given: QueryParams, known: Iterable[str]) -> None:
        self._given = given
        if unknown := sorted(set(given) - set(known)):
            there = ", ".join(sorted(known))
            raise InvalidRequest(f"{unknown[0][:60]}: there is no such filter.", hint=f"There are: {there}.")

    def one(self, name: str) -> str:
        """A parameter that must be there, once."""
        found = self.maybe(name)
        if not found:
            raise InvalidRequest(f"{name}: this must be given.")
        return found

    def maybe(self, name: str) -> str | None:
        values = self._given.getlist(name)
        if len(values) > 1:
            raise InvalidRequest(f"{name}: this can be given once.")
        return values[0] if values else None

    def number(self, name: str, least: int = 0, most: int = 10**_LONGEST_NUMBER) -> int | None:
        written = self.maybe(name)
        if written is None:
            return None
        plain = written.isascii() and written.isdecimal() and len(written) <= _LONGEST_NUMBER
        if not (plain and least <= int(written) <= most):
            raise InvalidRequest(f"{name}: this must be a whole number from {least} to {most}.")
        return int(written)

    def span(self) -> Span:
        return span(self.maybe("from"), self.maybe("until"), datetime.now(UTC))

    def query(self) -> Query:
        """Filters: of several values of one, any will do."""
        names = {name: frozenset(self._given.getlist(name)) for name in FIELDS}
        for name, values in names.items():
            if "" in values:
                raise InvalidRequest(f"{name}: this is empty.", hint="Leave the filter away to find all.")
        for name in names["label"]:
            _level("label", name)
        at_least = self.maybe("at_least")
        return Query(**names, at_least=None if at_least is None else _level("at_least", at_least), time=self.span())


def _level(field: str, name: str) -> Level:
    try:
        return Level.parse(name)
    except InvalidRequest as error:
        raise InvalidRequest(f"{field}: {error.message}", hint=error.hint) from None


def _page(reader: Reader, asked: _Asked) -> Mapping[str, object]:
    query, limit = asked.query(), asked.number("limit", 1, _MOST)
    start, before = asked.number("from_entry"), asked.number("before_entry")
    if start is not None and before is not None:
        raise InvalidRequest("from_entry: this goes up from an entry, before_entry down from one: give one of them.")
    following: dict[str, int] | None
    if start is not None:
        page = oldest_page(reader, query, start, limit or _USUAL)
        following = {"from_entry": page.next}  # also at the end: where to go on once there is more
    else:
        page = newest_page(reader, query, before, limit or _USUAL)
        following = None if page.complete else {"before_entry": page.next}
    whole = page.complete and before is None and not start
    slips = unknown(resting(oldest_first(reader)), query) if whole and not page.found else {}
    return {
        "entries": [found.event for found in page.found],
        "next": following,
        "complete": page.complete,
        "read": page.read,
        "broken": list(page.broken),
        "unknown": slips,
        "signed": signed_size(reader),
    }


def _entry(reader: Reader, index: int) -> Mapping[str, object]:
    genuine = proven(reader)
    scan = Scan(islice(oldest_first(reader, index), 1), genuine=genuine)
    for found in scan.find(Query()):
        line, leaf = found.entry.decode(), leaf_hash(found.entry).hex()
        return {"entry": found.event, "line": line, "leaf": leaf, "signed": genuine.size}
    if scan.broken:
        raise not_signed(index, genuine.size)
    raise NotFound(f"The log has no entry {index}.")


def _story(reader: Reader, request: str, before: int | None) -> Mapping[str, object]:
    found = account(reader, request, before)
    entries = [one.event for one in found.found]
    return {
        "request": request,
        "entries": entries,
        **tell(request, found.found, found.later).as_dict(),
        "complete": found.complete,
        "next": None if found.complete else {"before_entry": found.next},
        "broken": found.broken,
        "signed": signed_size(reader),
    }


def _sent(reader: Reader, whom: Recipient, when: Span) -> Mapping[str, object]:
    counted, within = count_within(reader, whom, when)
    return {**counted.as_dict(), "read": {"from_entry": within.start, "before_entry": within.stop}}
