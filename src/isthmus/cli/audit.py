"""``isthmus audit``: read the log, check it, and take it away to check it elsewhere."""

from __future__ import annotations

import json as plain_json
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from isthmus.cli.terminal import Config, Json, configuration, group, show
from isthmus.errors import InvalidRequest, NotFound
from isthmus.governance.audit.entries import decode
from isthmus.governance.audit.export import export as write
from isthmus.governance.audit.reader import Reader, Signed
from isthmus.governance.audit.verification import Verified, verify_receipt
from isthmus.governance.audit.verification import verify as check
from isthmus.seams import Receipt

app = group("The audit log: read it, verify it, export it.")

#: Said by the first line of an entry.
_COLUMNS = frozenset({"seq", "time", "type", "request"})
#: Begins each signature of a signed note (https://c2sp.org/signed-note).
_SIGNATURE = "— "


@app.command()
def verify(
    checkpoint: Annotated[
        list[Path] | None, typer.Option("--checkpoint", help="An older checkpoint that you kept (repeatable).")
    ] = None,
    receipt: Annotated[
        list[Path] | None, typer.Option("--receipt", help="A receipt that came with an answer (repeatable).")
    ] = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Check every entry against the log's signed checkpoint, and against what you kept."""
    reader = _reader(config)
    older = [_opened(reader, path) for path in checkpoint or ()]
    older += [verify_receipt(reader, _receipt(path)) for path in receipt or ()]
    verified = check(reader, older)
    plain = {
        "log": verified.checkpoint.origin,
        "size": verified.checkpoint.size,
        "root": verified.checkpoint.root.hex(),
        "older": list(verified.older),
        "pending": verified.pending,
    }
    show(plain, json, lambda console: _render_verified(console, verified))


@app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="A folder that does not exist yet, or is empty.")],
    config: Config = None,
    json: Json = False,
) -> None:
    """Copy the log into a folder that a stranger can check offline with verify.py and openssl."""
    size = write(_reader(config).folder, folder)
    plain = {"folder": str(folder), "size": size}
    command = f"python3 {folder}/verify.py {folder} {folder}/vkey"
    show(plain, json, lambda console: console.print(f"{size} entries in {folder}. Check them with:\n{command}"))


@app.command("show")
def show_request(
    request: Annotated[
        str,
        typer.Argument(help="A request's id, as its answer or error names it; or an entry's number."),
    ],
    config: Config = None,
    json: Json = False,
) -> None:
    """Tell one request's whole story (decisions, calls, outcome), or all of one entry."""
    told = list(_entry(_reader(config), request) if request.isdecimal() else _events(_reader(config), request))
    if not told:
        what = "number" if request.isdecimal() else "request"
        raise NotFound(f"The log has no entry of {what} {request!r}.", hint="List the newest with: isthmus audit list")
    show({"request": told[0].get("request"), "entries": told}, json, lambda console: _render(console, told))


@app.command("list")
def list_entries(
    last: Annotated[int, typer.Option("--last", min=1, help="How many of the newest entries.")] = 20,
    config: Config = None,
    json: Json = False,
) -> None:
    """List the newest entries, one a line; `isthmus audit show` tells the rest."""
    newest = list(deque(_events(_reader(config)), maxlen=last))
    show({"entries": newest}, json, lambda console: _render_lines(console, newest))


@app.command()
def checkpoint(config: Config = None, json: Json = False) -> None:
    """Print the newest signed checkpoint: keep it where the log's operator cannot reach it."""
    reader = _reader(config)
    signed = reader.checkpoint()
    plain = {"checkpoint": signed.note, "size": signed.checkpoint.size, "vkey": reader.verifier.vkey}
    show(plain, json, lambda console: console.out(signed.note, end=""))


def _reader(config: Path | None) -> Reader:
    return Reader(configuration(config)[1].audit)


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


def _opened(reader: Reader, path: Path) -> Signed:
    note = _text(path)
    if not any(line.startswith(_SIGNATURE) for line in note.splitlines()):
        raise InvalidRequest(f"{path} is not a checkpoint.", hint="Keep what `isthmus audit checkpoint` prints.")
    return Signed(reader.verifier.open(note), note)


def _receipt(path: Path) -> Receipt:
    try:
        plain = plain_json.loads(_text(path))
        return Receipt(
            **{**{field.name: plain[field.name] for field in fields(Receipt)}, "proof": tuple(plain["proof"])}
        )
    except (ValueError, TypeError, KeyError) as error:
        raise InvalidRequest(
            f"{path} is not a receipt: {error!r}.", hint="Save the JSON that came with the answer."
        ) from None


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read: {error.strerror}.", hint="Check the path.") from error
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{path} is not UTF-8 text.", hint="Check the path.") from error


def _render_verified(console: Console, verified: Verified) -> None:
    size, older = verified.checkpoint.size, ", ".join(map(str, verified.older))
    console.print(f"[green]The record holds[/]: {size} entries of {escape(verified.checkpoint.origin)}.")
    if verified.pending:
        console.print(f"{verified.pending} newer entries are not signed for yet.", style="dim")
    console.print(f"It begins as the checkpoints of {older} entries say." if older else _NOTHING_KEPT)


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


_NOTHING_KEPT = (
    "This says that the log fits its own signature. Keep `isthmus audit checkpoint` elsewhere, and give it with\n"
    "--checkpoint next time: then it also says that nothing before it was changed."
)
