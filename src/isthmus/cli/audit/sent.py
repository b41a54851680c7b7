"""``isthmus audit sent``: what did this model, or this vendor, receive?"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from isthmus.cli.audit.kept import Sealed, open_all, sealed
from isthmus.cli.audit.opening import open_log
from isthmus.cli.audit.scanning import bar, fail_if_broken
from isthmus.cli.audit.search import Since, Until
from isthmus.cli.terminal import Config, Json, configuration, show, visible
from isthmus.errors import InvalidRequest
from isthmus.governance.audit.answers.evidence import write_evidence
from isthmus.governance.audit.answers.moments import span
from isthmus.governance.audit.answers.search import signed_size
from isthmus.governance.audit.answers.sent import Sent, count_sent, recipient
from isthmus.governance.audit.answers.tally import UNKNOWN, Figures

_MOST_NAMES = 12
_NAME = len("not answered")


def sent(
    to: Annotated[str, typer.Option("--to", help="A model's id, a provider's name, or a vendor's host.")],
    since: Since = None,
    until: Until = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write the entries with their proofs into this new folder.")
    ] = None,
    content: Annotated[
        str | None,
        typer.Option("--content", help="With --out: also open content that was kept, for this reason; it is recorded."),
    ] = None,
    config: Config = None,
    json: Json = False,
) -> None:
    """Say what a model or vendor received: how often, how much, under which labels, from which collections, by whom."""
    from isthmus.models import catalogue

    if content is not None and (out is None or not content.strip()):
        raise InvalidRequest("--content says why content is opened, and needs --out for where it goes.")
    reader = open_log(config)
    whom = recipient(to, catalogue.cards(*configuration(config)).values())
    when = span(since, until, datetime.now(UTC))
    with bar(signed_size(reader), json) as advance:
        answer = count_sent(reader, whom, when, advance)
    if out is not None:
        with bar(len(answer.tally.entries), json) as advance:
            write_evidence(reader, answer, out, advance)
    told: dict[str, object] = {} if out is None else {"folder": str(out)}
    if out is not None and content is not None:
        told["opened"] = _open(config, sealed(reader, answer), content, out / "content")
    show(answer.as_dict() | told, json, lambda console: _render(console, answer, told))
    fail_if_broken(answer.broken, answer.signed.checkpoint.size)


def _open(config: Path | None, found: Mapping[str, Sealed], why: str, folder: Path) -> int:
    """The content of those requests, through this home's vault."""
    from isthmus import wiring

    async def run() -> int:
        async with wiring.custody(*configuration(config)) as custody:
            return await open_all(custody, found, why, folder)

    folder.mkdir(mode=0o700)
    return asyncio.run(run())


def _render(console: Console, answer: Sent, written: Mapping[str, object]) -> None:
    tally, signed = answer.tally, answer.signed.checkpoint
    console.print(Text.assemble("To ", (visible(answer.to.name), "bold"), f", {_when(answer)}"), soft_wrap=True)
    console.print()
    _print(console, _facts(answer))
    if tally.total.attempts:
        console.print("\nAttempts by:")
        _print(console, _shares(answer))
    if len(tally.months) > 1:
        console.print()
        console.print(_months(tally.months))
    console.print()
    console.print(
        f"Counted from the log {visible(signed.origin)} as its signed checkpoint of {signed.size} entries has it.",
        style="dim", markup=False,
    )  # fmt: skip
    if folder := written.get("folder"):
        console.print(
            f"Entries with their proofs, {len(tally.entries)}, are in {folder}. Check them with:\n"
            f"python3 -I {folder}/verify_evidence.py {folder} VKEY-YOU-KEPT",
            soft_wrap=True, markup=False,
        )  # fmt: skip
    if "opened" in written:
        console.print(f"Content of {written['opened']} requests is in {folder}/content.", soft_wrap=True, markup=False)


def _print(console: Console, facts: Iterable[tuple[str, str]]) -> None:
    if not console.is_terminal:
        for name, told in facts:
            console.print(f"{name:<12}  {visible(told)}", markup=False, soft_wrap=True)
        return
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True, min_width=_NAME)
    table.add_column(overflow="fold")
    for name, told in facts:
        table.add_row(name, Text(visible(told)))
    console.print(table)


def _when(answer: Sent) -> str:
    since, until = answer.span.since, answer.span.until
    begin = "from the beginning" if since is None else f"from {since:%Y-%m-%d %H:%M} UTC"
    return begin + (" until now" if until is None else f" until {until:%Y-%m-%d %H:%M} UTC")


def _facts(answer: Sent) -> Iterator[tuple[str, str]]:
    """The lines of the answer, as a name and what is told."""
    tally = answer.tally
    total = tally.total
    if not total.attempts:
        yield "requests", "none: it received nothing that this log knows of"
        return
    yield "requests", f"{total.requests:,}, in {_attempts(total.attempts)}"
    if not tally.by["where"]["api"] and tally.by["where"].total() == total.attempts:
        yield "premises", "nothing left them: each attempt was answered on the premises"
    yield "answered", _attempts(total.answered)
    if tally.ends:
        failed = Counter(tally.ends)
        unknown = failed.pop(UNKNOWN, 0)
        told = _counted(failed) + (f"{', ' if failed else ''}{UNKNOWN} {unknown}" if unknown else "")
        yield "not answered", f"{told}; each of them may have been received all the same"
    if tally.amounts:
        yield "sent", ", ".join(f"{count:,} {name}" for name, count in tally.amounts.items())
    about = f" ({_attempts(tally.estimated)} estimated)" if tally.estimated else ""
    yield "tokens", f"{total.prompt:,} in, {total.completion:,} out{about}"
    yield "cost", ", ".join(f"{amount:f} {currency}" for currency, amount in sorted(total.cost.items())) or "none"
    kept = f"kept of {_attempts(tally.kept)}" if tally.kept else "none was kept; the log holds commitments to it"
    yield "content", kept


def _shares(answer: Sent) -> Iterator[tuple[str, str]]:
    """What the attempts are counted by."""
    yield from ((name, _counted(counter)) for name, counter in answer.tally.by.items() if counter)


def _attempts(number: int) -> str:
    return f"{number:,} attempt{'' if number == 1 else 's'}"


def _counted(counter: Counter[str]) -> str:
    """The most frequent names, each with how many attempts it counts."""
    told = ", ".join(f"{name} {count}" for name, count in counter.most_common(_MOST_NAMES))
    more = len(counter) - _MOST_NAMES
    return told + (f", and {more} more (--json names them)" if more > 0 else "")


def _months(months: Mapping[str, Figures]) -> Table:
    names = ("month", "requests", "attempts", "answered", "tokens in", "tokens out", "cost")
    table = Table(*(Column(name, justify="left" if name == "month" else "right") for name in names), box=None)
    for month, told in sorted(months.items()):
        cost = "\n".join(f"{amount:f} {currency}" for currency, amount in sorted(told.cost.items()))
        figures = (told.requests, told.attempts, told.answered, told.prompt, told.completion)
        table.add_row(month, *(f"{figure:,}" for figure in figures), Text(visible(cost)))
    return table
