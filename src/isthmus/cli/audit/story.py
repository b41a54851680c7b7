"""``isthmus audit show``: one request's whole story as a timeline, or all of one entry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from itertools import islice
from types import MappingProxyType
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from isthmus.cli.audit.opening import open_log
from isthmus.cli.audit.scanning import bar, warn_of_broken
from isthmus.cli.terminal import Config, Json, show, visible
from isthmus.errors import NotFound
from isthmus.governance.audit.answers.search import Found, Query, Scan, oldest_first, signed_size
from isthmus.governance.audit.answers.story import Step, Story, Tone, tell
from isthmus.governance.audit.answers.wording import plain
from isthmus.governance.audit.reading.reader import Reader

_STYLES: Mapping[Tone, str] = MappingProxyType(
    {"plain": "bold", "good": "bold green", "bad": "bold red", "open": "bold yellow"}
)
_MINUTE = 60  # seconds
_LONGEST_NUMBER = 18  # digits
_MARKS: Mapping[Tone, str] = MappingProxyType({"plain": "●", "good": "✔", "bad": "✘", "open": "?"})


def show_request(
    request: Annotated[
        str,
        typer.Argument(help="A request's id, as its answer or error names it; or an entry's number."),
    ],
    config: Config = None,
    json: Json = False,
) -> None:
    """Tell one request's whole story (decisions, calls, outcome), or all of one entry."""
    reader = open_log(config)
    number = request.isdecimal() and request.isascii() and len(request) <= _LONGEST_NUMBER
    found = _entry(reader, request) if number else _request(reader, request, json)
    if not found:
        what = "number" if number else "request"
        raise NotFound(f"The log has no entry of {what} {request!r}.", hint="List the newest with: isthmus audit list")
    story, signed = tell(str(found[0].event.get("request", "")), found), signed_size(reader)
    told: dict[str, Any] = {"request": found[0].event.get("request"), "entries": [one.event for one in found]}
    told |= {"signed": signed} if number else {**story.as_dict(), "signed": signed}
    show(told, json, lambda console: (_render_entry if number else _render_story)(console, story, found, signed))


def _request(reader: Reader, request: str, quiet: bool) -> list[Found]:
    with bar(signed_size(reader), quiet) as advance:
        scan = Scan(oldest_first(reader), advance)
        found = list(scan.find(Query(request=frozenset({request}))))
    warn_of_broken(scan.broken)
    return found


def _entry(reader: Reader, number: str) -> list[Found]:
    """The one entry of that number, if the log has it."""
    scan = Scan(islice(oldest_first(reader, int(number)), 1))
    found = list(scan.find(Query()))
    warn_of_broken(scan.broken)
    return found


def _render_story(console: Console, story: Story, found: list[Found], signed: int) -> None:
    began = f"{story.began:%Y-%m-%d %H:%M:%S} UTC" if story.began else "at an unknown time"
    console.print(Text.assemble("Request ", (visible(story.request), "bold"), f", {began}"), soft_wrap=True)
    console.print(Text(visible(story.end), _STYLES[story.tone]), soft_wrap=True)
    console.print()
    if console.is_terminal:
        console.print(_timeline(story.steps))
    else:
        for step in story.steps:
            console.print(f"{_after(step):>12}  {step.what:<9}  {visible(step.told)}", markup=False, soft_wrap=True)
    console.print()
    console.print(_evidence([one.index for one in found], signed), style="dim", soft_wrap=True)


def _timeline(steps: Iterable[Step]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", style="dim", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    last = None
    for step in steps:
        head = step.index != last
        mark = _MARKS[step.tone] if head else "│"
        what = Text.assemble(
            (mark, _STYLES[step.tone] if head else "dim"), " ", (visible(step.what), _STYLES[step.tone])
        )
        table.add_row(_after(step) if head else "", what, Text(visible(step.told)))
        last = step.index
    return table


def _after(step: Step) -> str:
    if step.after is None:
        return "no time"
    if abs(step.after) < _MINUTE:
        return f"{step.after:+.3f} s"
    sign, seconds = "-" if step.after < 0 else "+", round(abs(step.after))
    return f"{sign}{timedelta(seconds=seconds)}"


def _evidence(indexes: list[int], signed: int) -> str:
    entries = f"Entry {indexes[0]}" if len(indexes) == 1 else f"Entries {', '.join(map(str, indexes))}"
    pending = [index for index in indexes if index >= signed]
    if not pending:
        return f"{entries}. The signed checkpoint of {signed} entries covers {'it' if len(indexes) == 1 else 'them'}."
    return f"{entries}. No signed checkpoint covers {', '.join(map(str, pending))} yet."


def _render_entry(console: Console, story: Story, found: list[Found], signed: int) -> None:
    """Every field of one entry, a line each."""
    event = found[0].event
    for name, value in event.items():
        console.print(Text.assemble((f"{visible(name):>10}  ", "dim"), visible(plain(value))), soft_wrap=True)
    console.print()
    console.print(_evidence([found[0].index], signed), style="dim", soft_wrap=True)
