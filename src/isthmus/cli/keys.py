"""``isthmus keys``: who may use the endpoint."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from isthmus.cli.terminal import Config, Json, configuration, group, show
from isthmus.config import Home, Settings
from isthmus.data.keys import Key, KeyOptions, Keys
from isthmus.errors import InvalidRequest
from isthmus.labels import Label
from isthmus.principals import operator

app = group("API keys: make, list and revoke them.")


@app.command()
def create(
    name: Annotated[str, typer.Option("--name", help="Whose key it is: a person, an application.")],
    role: Annotated[
        list[str] | None,
        typer.Option("--role", help="user, curator, reviewer, auditor, policy or admin (repeatable; default: user)."),
    ] = None,
    group: Annotated[
        list[str] | None, typer.Option("--group", help="A group of documents' readers (repeatable).")
    ] = None,
    level: Annotated[
        str, typer.Option("--level", help="The level of what is typed with this key (default: the configuration's).")
    ] = "",
    jurisdiction: Annotated[str, typer.Option("--jurisdiction", help="Where the holder is, like DE.")] = "",
    expires: Annotated[
        str, typer.Option("--expires", help="A day like 2027-06-30, or a time from now like 90d, 12h.")
    ] = "",
    budget: Annotated[float | None, typer.Option("--budget", help="The most it may spend in a month.")] = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Make a key. Its secret is shown this once, and not stored."""
    settings, home = configuration(config)
    default = Label.parse(level) if level else Label.parse(msgspec.to_builtins(settings.labels.default))
    options = KeyOptions(
        frozenset(role or ("user",)), frozenset(group or ()), default, jurisdiction, _moment(expires), budget
    )
    with _keys(settings, home) as keys:
        token, principal = keys.create(name, options, by=operator())
        plain = {"key": token, **keys.find(principal.id).as_dict()}
    show(plain, json, lambda console: _render_new(console, token, principal.id))


@app.command("list")
def list_keys(config: Config = None, json: Json = False) -> None:
    """List the keys, revoked ones too."""
    with _keys(*configuration(config)) as keys:
        listed = keys.list()
    show({"keys": [key.as_dict() for key in listed]}, json, lambda console: _render(console, listed))


@app.command()
def revoke(
    key: Annotated[str, typer.Argument(help="The key's id, as `isthmus keys list` shows it.")],
    config: Config = None,
    json: Json = False,
) -> None:
    """Refuse a key from now on; a running server sees it within a second."""
    with _keys(*configuration(config)) as keys:
        revoked = keys.revoke(key, by=operator())
    show(revoked.as_dict(), json, lambda console: console.print(f"{revoked.id} is revoked.", markup=False))


def _keys(settings: Settings, home: Home) -> AbstractContextManager[Keys]:
    """The keys, whose changes the log records."""
    from isthmus import wiring

    return wiring.recorded_keys(settings, home)


def _moment(text: str) -> datetime | None:
    """The end of that day in UTC, or so long from now. Raises :class:`InvalidRequest`."""
    if not text:
        return None
    units = {"d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1)}
    try:
        if text[-1] in units:
            return datetime.now(UTC) + int(text[:-1]) * units[text[-1]]
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        raise InvalidRequest(
            f"{text!r} is not a time.", hint="Write a day like 2027-06-30, or 90d, 12h, 30m."
        ) from error
    if len(text) == len("2027-06-30"):
        moment += timedelta(days=1)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _render_new(console: Console, token: str, identity: str) -> None:
    console.print(token, markup=False, soft_wrap=True)
    console.print(f"This is shown once. Its id is {identity}.", markup=False, style="dim")


def _render(console: Console, keys: list[Key]) -> None:
    if not keys:
        console.print("There are no keys yet: isthmus keys create --name NAME", markup=False)
        return
    table = Table("id", "name", "roles", "groups", "label", "expires", "state", box=None)
    now = datetime.now(UTC)
    for key in keys:
        mine = key.options
        state = "valid" if key.usable(now) else "revoked" if key.revoked else "expired"
        expires = mine.expires.date().isoformat() if mine.expires else ""
        cells = (", ".join(sorted(mine.roles)), ", ".join(sorted(mine.groups)), str(mine.default), expires, state)
        table.add_row(key.id, key.name, *cells)
    console.print(table)
