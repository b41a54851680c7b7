"""Commands that read the log: one request's story, the newest entries."""

from __future__ import annotations

import json as plain_json
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from isthmus.cli.audit.opening import open_log
from isthmus.cli.terminal import Config, Json, show
from isthmus.errors import NotFound
from isthmus.governance.audit.entries import decode
from isthmus.governance.audit.reader import Reader

#: Said by the first line of an entry.
_COLUMNS = frozenset({"seq", "time", "type", "request"})


def show_request(
    request: Annotated[
        str,
        typer.Argument(help="A request's id, as its answer or error names it; or an entry's number."),
    ],
    config: Config = None,
    json: Json = False,
) -> None:
    """Tell one request's whole story (decisions, calls, outcome), or all of one entry."""
    told = list(_entry(open_log(config), request) if request.isdecimal() else _events(open_log(config), request))
    if not told:
        what = "number" if request.isdecimal() else "request"
        raise NotFound(f"The log has no entry of {what} {request!r}.", hint="List the newest with: isthmus audit list")
    show({"request": told[0].get("request"), "entries": told}, json, lambda console: _render(console, told))


def list_entries(
    last: Annotated[int, typer.Option("--last", min=1, help="How many of the newest entries.")] = 20,
    config: Config = None,
    json: Json = False,
) -> None:
    """List the newest entries, one a line; `isthmus audit show` tells the rest."""
    newest = list(deque(_events(open_log(config)), maxlen=last))
    show({"entries": newest}, json, lambda console: _render_lines(console, newest))


def _events(reader: Reader, request: str | None = None) -> Iterator[dict[str, Any]]:
    """The entries as plain data; only those of one request, if one is named."""
    mark = b"" if request is None else plain_json.dumps(request, ensure_ascii=False).encode("utf8", "replace")
    for index, entry in reader.entries():
        if mark not in entry:  # spares decoding the rest of the log
            continue
        event = decode(entry, index)
        if event is not None and request in (None, event.get("request")):
            yield event


def _entry(reader: Reader, number: str) -> Iterator[dict[str, Any]]:
    """The one entry of that number, if the log has it."""
    for index, entry in reader.entries(int(number)):
        if (event := decode(entry, index)) is not None:
            yield event
        return


def _render_lines(console: Console, events: list[dict[str, Any]]) -> None:
    for event in events:
        console.print(_head(event) + escape("".join(f"  {fact}" for fact in _facts(event))), soft_wrap=True)


def _facts(event: Mapping[str, Any]) -> Iterator[str]:
    """What a line tells of an entry: who, to which model, under which level, how it ended and what it cost."""
    told = [event.get("principal") or event.get("by"), event.get("model"), (event.get("label") or {}).get("level")]
    told += [event.get("code"), event.get("finish")]
    yield from (str(fact) for fact in told if fact)
    if float((cost := event.get("cost") or {"amount": 0})["amount"]):
        yield f"{cost['amount']} {cost['currency']}"


def _head(event: Mapping[str, Any]) -> str:
    time = str(event["time"])[:19].replace("T", " ")
    kind, request = escape(str(event.get("type", ""))), escape(str(event.get("request", "")))
    return f"[bold]{event['seq']:>6}[/] {time} [cyan]{kind}[/] {request}".rstrip()


def _render(console: Console, events: list[dict[str, Any]]) -> None:
    for event in events:
        console.print(_head(event), soft_wrap=True)
        rest = {key: value for key, value in event.items() if key not in _COLUMNS}
        for key, value in rest.items():
            console.print(f"       {key}: {_short(value)}", markup=False, style="dim")


def _short(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_short(inner)}" for key, inner in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(_short(inner) for inner in value) or "none"
    return str(value)
