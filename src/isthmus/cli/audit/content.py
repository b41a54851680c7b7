"""Commands about content: open what was kept, hand it to whoever must check it, let it expire, erase it."""

from __future__ import annotations

import asyncio
import json as plain_json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer
from rich.console import Console

from isthmus.cli.terminal import Config, Json, configuration, err, show, visible
from isthmus.errors import InvalidRequest, NotFound
from isthmus.governance.audit.answers.search import Query, Scan, oldest_first
from isthmus.orchestration.disclosure import Trail, disclosed, trail
from isthmus.orchestration.erasure import ERASED, Erasure, reason
from isthmus.principals import operator

if TYPE_CHECKING:
    from isthmus.data.vault import Kept
    from isthmus.wiring import Custody

_T = TypeVar("_T")
_Why = Annotated[str, typer.Option("--why", help="Why: it stands in the log, so name nobody.")]
_Request = Annotated[str, typer.Argument(help="A request's id.")]


def content(request: _Request, why: _Why, config: Config = None, json: Json = False) -> None:
    """Show what was kept of a request, decrypted. That it was opened is recorded."""
    found, kept = _with(config, lambda custody: _opened(custody, _plain(request), reason(_plain(why))))
    plain = {
        "request": found.request,
        "contents": [
            {
                "kind": one.kind,
                "model": one.model,
                "state": one.state,
                "stored": one.stored and one.stored.isoformat(),
                "genuine": found.genuine(one) if one.state == "kept" else None,
                "text": one.text,
            }
            for one in kept
        ],
        "erased": found.erased,
    }
    show(plain, json, lambda console: _render(console, found, kept))


def disclose(
    request: Annotated[str, typer.Argument(help="A request's id; or a key's, for its name.")],
    text: Annotated[
        Path | None, typer.Option("--text", help="A file with the text that is claimed, where none was kept.")
    ] = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Print what a stranger needs to check a text against the log: salt, commitments, entries. It is recorded."""
    claimed = None if text is None else _file(text)
    plain = _with(config, lambda custody: _disclosed(custody, _plain(request), claimed))
    show(plain, json, lambda console: console.out(plain_json.dumps(plain, indent=2)))
    if not json:
        err().print(_verdict(plain), markup=False)


def expire(config: Config = None, json: Json = False) -> None:
    """Destroy the keys of content that is older than `audit.content_days`; a running server does it once a day."""
    days = configuration(config)[0].audit.content_days
    if days is None:
        raise InvalidRequest(
            "How long content is kept is not configured.", hint="Set audit: {content_days: 180} in isthmus.yaml."
        )
    records = _with(config, lambda custody: custody.retention.expire())
    plain = {"records": records, "days": days}
    show(
        plain,
        json,
        lambda console: console.print(f"Destroyed: {_counted(records, 'record')} older than {_counted(days, 'day')}."),
    )


def erase(
    subject: Annotated[str, typer.Argument(help="Whose content: a key's id, as `isthmus keys list` shows it.")],
    why: _Why,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """Destroy the keys of all that was kept of a subject, and the salts of its commitments. It cannot be undone."""
    subject, why = _plain(subject), _plain(why)
    if not yes:
        if json or not sys.stdin.isatty():
            raise InvalidRequest("Erasing cannot be undone.", hint="Say --yes where nobody can be asked.")
        _confirm(subject, *_with(config, lambda custody: asyncio.to_thread(_at_stake, custody, subject)))
    erased = _with(config, lambda custody: custody.erasures.erase(subject, by=operator(), why=why))
    show(erased.as_dict(), json, lambda console: _render_erased(console, erased))


async def _opened(custody: Custody, request: str, why: str) -> tuple[Trail, list[Kept]]:
    found = await asyncio.to_thread(trail, custody.reader(), request)
    kept = await asyncio.to_thread(custody.vault.opened, request)
    if not kept:
        raise NotFound(f"Nothing was kept of {request}.", hint='Content is kept where a rule has @obligation("keep").')
    if any(one.state == "kept" for one in kept):  # recorded first: what cannot be recorded is not shown
        event = {"type": "content.opened", "request": request, "by": operator(), "why": why}
        await custody.log.append(event, flush=True)
    return found, kept


async def _disclosed(custody: Custody, request: str, text: str | None) -> dict[str, object]:
    found = await asyncio.to_thread(trail, custody.reader(), request)
    plain = await asyncio.to_thread(disclosed, custody.vault, found, text)
    if plain["salt"] is not None:
        event = {"type": "content.disclosed", "request": request, "by": operator()}
        await custody.log.append(event, flush=True)
    return plain


def _with(config: Path | None, work: Callable[[Custody], Awaitable[_T]]) -> _T:
    """Run ``work`` over this home's vault and log, also beside a running server."""
    from isthmus import wiring

    async def run() -> _T:
        async with wiring.custody(*configuration(config)) as custody:
            return await work(custody)

    return asyncio.run(run())


def _at_stake(custody: Custody, subject: str) -> tuple[int, int]:
    """How many sealed records and how many requests' salts an erasure destroys. Raises :class:`NotFound`."""
    standing = custody.vault.standing(subject)
    if standing is None:
        hint = "It is a key's id, not its name: see `isthmus keys list`."
        raise NotFound(f"There is no subject {subject!r}.", hint=hint)
    requests = set[object]()
    for found in Scan(oldest_first(custody.reader())).all(Query(principal=frozenset({subject}))):
        if found.event.get("type") == ERASED:
            requests.clear()
        elif found.event.get("principal") == subject:
            requests.add(found.event.get("request"))
    return standing.records, len(requests)


def _confirm(subject: str, records: int, requests: int) -> None:
    told = f"{_counted(records, 'sealed record')}, and the salts of {_counted(requests, 'request')}"
    err().print(
        f"{visible(subject)}: {told}. What is erased is gone for good; its entries in the log stay.", markup=False
    )
    if not typer.confirm("Erase it?", err=True):
        raise InvalidRequest("Nothing was erased.", hint="Say yes to erase it.")


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _plain(text: str) -> str:
    """Text as it can be stored. Raises :class:`InvalidRequest` for bytes of the command line that are not UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidRequest(f"{text!r} is not UTF-8 text.") from None
    return text


def _file(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf8", "surrogatepass")
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read: {error.strerror}.", hint="Check the path.") from error
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{path} is not UTF-8 text.", hint="Check the path.") from error


def _render(console: Console, found: Trail, kept: list[Kept]) -> None:
    for one in kept:
        if one.text is None:
            by = f" (entry {found.erased})" if one.state == "erased" and found.erased is not None else ""
            way = "to" if one.kind == "prompt" else "from"
            console.print(f"{one.kind} {way} {one.model}: {one.state}{by}.", markup=False, style="dim")
            continue
        stored = "" if one.stored is None else one.stored.strftime("%Y-%m-%d %H:%M:%S UTC")
        console.print(f"{one.kind}, {one.model}, kept {stored}", markup=False, style="bold")
        if not found.genuine(one):
            console.print("The log does not have this ciphertext: it was put there by somebody else.", style="red")
        console.out("\n".join(map(visible, one.text.split("\n"))))


def _verdict(plain: dict[str, object]) -> str:
    """Whether it matches, in plain words."""
    made = plain["commitments"]
    assert isinstance(made, list)
    matching = [str(one["entry"]) for one in made if one.get("matches")]
    if matching:
        which = f"entry {matching[0]} commits" if len(matching) == 1 else f"entries {' and '.join(matching)} commit"
        return f"The text is what {which} to."
    if plain["salt"] is None:
        gone = [str(one["erased"]) for one in made if one["erased"] is not None]
        return f"Its salt was destroyed (entry {gone[0]}): no text can be checked." if gone else "There is no salt."
    if any("matches" in one for one in made):
        return "The text is NOT what the log commits to."
    return "No text was kept: give the one that is claimed with --text FILE."


def _render_erased(console: Console, erased: Erasure) -> None:
    records = _counted(erased.records, "record") if erased.records else "nothing that was kept was left"
    console.print(f"{erased.subject} is erased: {records} (entry {erased.entry}).", markup=False)
    if erased.valid_key:
        console.print(
            f"The key itself goes on, and keeps its name; end it with: isthmus keys revoke {erased.subject}",
            markup=False,
        )
    console.print("Backups, exports and what vendors hold are not reached: see docs/erasure.md.", style="dim")
