"""What people call something and what the log calls it: a request by how its id begins, names that no entry has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from isthmus.governance.audit.answers import facts
from isthmus.governance.audit.answers.search import FIELDS, Query, spell
from isthmus.governance.audit.tree.entries import decode

#: The ids of requests, and of their answers on the wire, which share what follows.
_REQUEST, _ANSWER = "req_", "chatcmpl-"
#: So many are named where several are meant.
_MOST = 5
_IS: Mapping[str, str] = MappingProxyType(
    {
        "principal": "a principal is a key's id (isthmus keys list), or uid:N for a user of the system",
        "rule": "a rule's name is what its @id says (isthmus policy show)",
        "type": "the types are in docs/audit-entries.md",
        "model": "a model's id, as `isthmus models list` has it",
        "code": "the codes are in docs/errors.md",
    }
)


def requests_like(entries: Iterable[tuple[int, bytes]], given: str) -> list[str]:
    """The id itself, where the log has it; else those that begin so, at most five and one."""
    given = _REQUEST + given.removeprefix(_ANSWER) if given.startswith(_ANSWER) else given
    mark, found = spell(given)[:-1], set[str]()
    for index, entry in entries:
        if not given or mark not in entry:
            continue
        ids = {id for id in facts.requests(decode(entry, index) or {}) if id.startswith(given)}
        if given in ids:
            return [given]
        if len(found) <= _MOST:
            found |= ids
    return sorted(found)[: _MOST + 1]


def unknown(entries: Iterable[tuple[int, bytes]], query: Query) -> dict[str, list[str]]:
    """Of the names in a query that found nothing, by filter, those that no entry has: slips of the pen, perhaps."""
    left = {(field, name) for field in FIELDS for name in getattr(query, field)}
    looks = {(field, name): _only(field, name) for field, name in left}
    marks = {key: one.may_match() for key, one in looks.items()}
    for index, entry in entries:
        if not left:
            break
        near = [key for key in left if marks[key](entry)]
        event = decode(entry, index) if near else None
        left -= {key for key in near if event is not None and looks[key].matches(event)}
    return {field: sorted(name for of, name in left if of == field) for field in FIELDS if field in dict(left)}


def _only(field: str, name: str) -> Query:
    fields: dict[str, Any] = {field: frozenset({name})}
    return Query(**fields)


def slip(field: str, name: str) -> str:
    """That no entry has it, and what it is that such a name names."""
    return f"No entry has the {field} {name!r}" + (f": {_IS[field]}." if field in _IS else ".")
