"""What every command shares: options, output for people or programs, progress, errors, exit codes."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeAlias

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from isthmus.config import Home, Settings, load
from isthmus.errors import ConfigInvalid, InvalidRequest, IsthmusError, ModelNotFound, PolicyInvalid, Refused

DONE, FAILED, USAGE, REFUSED = 0, 1, 2, 3
INTERRUPTED = 130  # 128 + SIGINT, as shells have it

Json: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
Config: TypeAlias = Annotated[
    Path | None, typer.Option("--config", help="isthmus.yaml to read (default: here, then the home folder).")
]


def group(help: str) -> typer.Typer:
    """A command group: without a command it prints its help."""
    return typer.Typer(help=help, no_args_is_help=True, add_completion=False, rich_markup_mode=None)


def configuration(config: Path | None) -> tuple[Settings, Home]:
    """The settings and the home folder that this command works on (``--home`` is set in the environment)."""
    return load(config)


def out() -> Console:
    """Results, on standard output."""
    return Console(highlight=False, soft_wrap=not sys.stdout.isatty())


def err() -> Console:
    """Progress and errors, on standard error, so that results can be piped."""
    return Console(stderr=True, highlight=False)


def show(plain: object, json: bool, render: Callable[[Console], None]) -> None:
    """Print ``plain`` as one JSON object, or let ``render`` print it for people."""
    if json:
        sys.stdout.write(visible(msgspec.json.encode(plain).decode()) + "\n")
    else:
        render(out())


def visible(text: str) -> str:
    """One line of text, with every character that a terminal would obey instead of showing (controls, line ends,
    directions) as ``\\uXXXX``: what others wrote must not draw on it. In JSON this spells the same data."""
    return text if text.isprintable() else _HIDDEN.sub(_escaped, text)


#: Whatever may not be printable: most texts hold none of it.
_HIDDEN = re.compile(r"[^\x20-\x7e]")


def _escaped(match: re.Match[str]) -> str:
    char = match[0]
    if char.isprintable():
        return char
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at] << 8 | units[at + 1]:04x}" for at in range(0, len(units), 2))


def progress(quiet: bool = False) -> Progress:
    """A progress bar on standard error; silent with ``--json`` or where nobody looks."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=err(), disable=quiet or not sys.stderr.isatty(), transient=True)


def exit_code(error: IsthmusError) -> int:
    """0 done, 1 failed (also where what was named is not there), 2 wrong use, 3 refused by policy."""
    if isinstance(error, Refused):
        return REFUSED
    if isinstance(error, ModelNotFound):
        return FAILED
    return USAGE if isinstance(error, ConfigInvalid | InvalidRequest | PolicyInvalid) else FAILED


def report(error: IsthmusError, json: bool) -> None:
    """Say what happened and what to do next, never a traceback."""
    if json:
        sys.stdout.write(msgspec.json.encode({"error": error.as_dict()}).decode() + "\n")
        return
    console = err()
    console.print(f"[bold red]{error.code}[/]: ", end="")
    console.print(error.message, markup=False)
    console.print(error.hint, markup=False, style="dim")


def set_home(home: Path | None) -> None:
    """``--home`` reaches every layer, and child processes, as ``ISTHMUS_HOME``."""
    if home is not None:
        os.environ["ISTHMUS_HOME"] = str(home.expanduser().absolute())
