"""``isthmus audit search`` and ``list``: entries by who, what, where to, under which label and rule, and when."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Annotated, TypeAlias

import typer
from rich.console import Console

from isthmus.cli.audit import lines
from isthmus.cli.audit.opening import open_log
from isthmus.cli.audit.scanning import bar, fail_if_broken
from isthmus.cli.terminal import Config, Json, show, visible
from isthmus.errors import InvalidRequest
from isthmus.governance.audit.answers.moments import span
from isthmus.governance.audit.answers.naming import slip, unknown
from isthmus.governance.audit.answers.search import Found, Query, Scan, newest_first, oldest_first
from isthmus.governance.audit.reading.proven import Proven, proven
from isthmus.governance.audit.reading.reader import Reader
from isthmus.labels import Level

#: Without --last there is no limit.
MOST = 10_000_000
_Names: TypeAlias = list[str] | None
Since: TypeAlias = Annotated[
    str | None,
    typer.Option("--from", help="From this moment on: 2026-03, 2026-03-14, 2026-03-14T09:30:00Z, or 7d, 12h, 30m ago."),
]
Until: TypeAlias = Annotated[
    str | None, typer.Option("--until", help="Before this moment: --from 2026-03 --until 2026-04 is March, in UTC.")
]
Last: TypeAlias = Annotated[int | None, typer.Option("--last", min=1, max=MOST, help="Only so many of the newest.")]


def search(
    type: Annotated[_Names, typer.Option("--type", help="A type, or a family of them such as document.")] = None,
    principal: Annotated[
        _Names, typer.Option("--principal", help="Who asked, changed something, or whose key it was.")
    ] = None,
    model: Annotated[_Names, typer.Option("--model", help="The model that was asked for, called, or answered.")] = None,
    collection: Annotated[
        _Names, typer.Option("--collection", help="A collection that was answered from, or changed.")
    ] = None,
    document: Annotated[
        _Names, typer.Option("--document", help="A document that was answered from, or changed.")
    ] = None,
    label: Annotated[
        _Names, typer.Option("--label", help="Exactly this level: public, internal, confidential, restricted.")
    ] = None,
    at_least: Annotated[str | None, typer.Option("--at-least", help="This level, or one above it.")] = None,
    category: Annotated[_Names, typer.Option("--category", help="A category of the label, such as personal.")] = None,
    rule: Annotated[
        _Names, typer.Option("--rule", help="A rule that admitted, refused, or denied another model.")
    ] = None,
    code: Annotated[_Names, typer.Option("--code", help="How it failed or was refused, such as policy_denied.")] = None,
    request: Annotated[_Names, typer.Option("--request", help="A request's id.")] = None,
    since: Since = None,
    until: Until = None,
    last: Last = None,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="Print each entry's own bytes, one a line.")] = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """Find entries. Every filter narrows; of a filter that is given several times, any one will do."""
    query = Query(
        type=_set(type), request=_set(request), principal=_set(principal), model=_set(model),
        collection=_set(collection), document=_set(document), category=_set(category), rule=_set(rule),
        code=_set(code), label=frozenset(str(Level.parse(name)) for name in label or ()),
        at_least=None if at_least is None else Level.parse(at_least), time=span(since, until, datetime.now(UTC)),
    )  # fmt: skip
    _find(query, last, jsonl, config, json)


def list_entries(
    last: Annotated[int, typer.Option("--last", min=1, max=MOST, help="How many of the newest entries.")] = 20,
    config: Config = None,
    json: Json = False,
) -> None:
    """List the newest entries, one a line; `isthmus audit show` tells the rest."""
    _find(Query(), last, False, config, json)


def _set(names: _Names) -> frozenset[str]:
    return frozenset(names or ())


def _find(query: Query, last: int | None, jsonl: bool, config: Path | None, json: bool) -> None:
    if jsonl and json:
        raise InvalidRequest("--json prints one object, --jsonl one entry a line.", hint="Choose one of them.")
    reader = open_log(config)
    genuine = proven(reader)
    with bar(genuine.size, json or jsonl) as advance:
        scan = Scan(_way(reader, last), advance, genuine)
        found = _pass(scan, query, last)
        if jsonl:
            with lines.pipe():
                for one in found:
                    lines.write_line(one.entry, one.index)
        else:
            _show(reader, query, list(found), scan, json)
    fail_if_broken(scan.broken, genuine.size)


def _way(reader: Reader, last: int | None) -> Iterator[tuple[int, bytes]]:
    """The whole log from its beginning; or back from its end, until there are enough."""
    return oldest_first(reader) if last is None else newest_first(reader)


def _pass(scan: Scan, query: Query, last: int | None) -> Iterator[Found]:
    """What is found, the oldest first."""
    return scan.find(query) if last is None else reversed(list(islice(scan.find(query), last)))


def _show(reader: Reader, query: Query, found: list[Found], scan: Scan, json: bool) -> None:
    slips = {} if found else unknown(oldest_first(reader), query)
    assert isinstance(scan.genuine, Proven)
    plain = {
        "entries": [one.event for one in found],
        "read": scan.read,
        "broken": scan.broken,
        "unknown": slips,
        "signed": scan.genuine.size,
    }
    show(plain, json, lambda console: _render(console, query, found, scan, slips))


def _render(console: Console, query: Query, found: list[Found], scan: Scan, slips: dict[str, list[str]]) -> None:
    lines.render(console, found)
    if not found:
        console.print(f"None of {scan.read} {'entry' if scan.read == 1 else 'entries'}.")
        for field, names in slips.items():
            for name in names:
                console.print(visible(slip(field, name)), markup=False)
    elif console.is_terminal:
        counted = "" if query == Query() else f"{len(found)} of {scan.read} entries read. "
        console.print(f"\n{counted}`isthmus audit show` tells all of an entry, or a request's story.", style="dim")
