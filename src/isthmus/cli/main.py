"""``isthmus``: the groups and commands in one place, and the one place where an error becomes an exit code."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer

import isthmus
from isthmus.cli.terminal import DONE, FAILED, INTERRUPTED, USAGE, err, exit_code, report, set_home
from isthmus.errors import IsthmusError

#: Modules of this package: a command's holds a function of its name, a group's holds ``app``. Only what a call needs is
#: imported: a server should be up within a second.
COMMANDS = ("init", "serve", "ask", "ingest", "doctor")
GROUPS = ("models", "keys", "policy", "audit", "guard", "retrieve")
_HELP = "Open and closed models under one policy: one OpenAI-compatible endpoint, with evidence for every decision."


def application(wanted: str | None = None) -> typer.Typer:
    """The command line: all of it, or only the command or group that is wanted."""
    app = typer.Typer(
        name="isthmus",
        help=_HELP,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    app.callback()(options)
    for name in COMMANDS:
        if wanted in (None, name):
            app.command(name)(getattr(_module(name), name))
    for name in GROUPS:
        if wanted in (None, name):
            app.add_typer(_module(name).app, name=name)
    return app


def _module(name: str) -> ModuleType:
    return import_module(f"isthmus.cli.{name}")


def _wanted(arguments: list[str]) -> str | None:
    """The command that is called, if it is one of ours: the first word that is not ``--home``'s."""
    words = [word for at, word in enumerate(arguments) if not word.startswith("-") and arguments[at - 1] != "--home"]
    return words[0] if words and words[0] in (*COMMANDS, *GROUPS) else None


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"isthmus {isthmus.__version__}")
        raise typer.Exit


def options(
    home: Annotated[
        Path | None, typer.Option("--home", help="The folder that holds all state (default: ISTHMUS_HOME, ~/.isthmus).")
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options before the command."""
    set_home(home)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line. Returns the exit code: 0 done, 1 failed, 2 wrong use, 3 refused by policy."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        code = application(_wanted(arguments))(arguments, standalone_mode=False)
    except IsthmusError as error:
        report(error, json="--json" in arguments)
        return exit_code(error)
    except typer.TyperException as error:  # wrong use: an unknown command or option, a missing argument
        _show_usage(error)
        return USAGE
    except (typer.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except BrokenPipeError:
        return DONE
    except Exception as error:  # the boundary: a fault of ours is told in a line, its traceback only when asked for
        if os.environ.get("ISTHMUS_DEBUG"):
            raise
        report(_unforeseen(error), json="--json" in arguments)
        return FAILED
    return code if isinstance(code, int) else DONE


def _show_usage(error: typer.TyperException) -> None:
    """Typer's own errors print themselves, with the usage line; the base class does not say so."""
    show = getattr(error, "show", None)
    if callable(show):
        show()
    else:
        err().print(str(error), markup=False)


def _unforeseen(error: Exception) -> IsthmusError:
    """A file that cannot be read or written says which; anything else is a fault of ours."""
    if isinstance(error, OSError) and error.strerror:
        where = f" {error.filename}" if error.filename else ""
        return IsthmusError(f"{error.strerror}:{where}", hint="Check the path, who owns it, and the space on the disk.")
    return IsthmusError(
        f"Isthmus failed: {type(error).__name__}.", hint="Run it again with ISTHMUS_DEBUG=1 to see where."
    )
