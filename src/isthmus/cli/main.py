"""``isthmus``: the groups and commands in one place, and the one place where an error becomes an exit code."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

import isthmus
from isthmus.cli import ask, audit, doctor, guard, ingest, init, keys, models, policy, retrieve, serve
from isthmus.cli.terminal import DONE, FAILED, INTERRUPTED, USAGE, err, exit_code, report, set_home
from isthmus.errors import IsthmusError

app = typer.Typer(
    name="isthmus",
    help="Open and closed models under one policy: one OpenAI-compatible endpoint, with evidence for every decision.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command("init")(init.init)
app.command("serve")(serve.serve)
app.command("ask")(ask.ask)
app.command("ingest")(ingest.ingest)
app.command("doctor")(doctor.doctor)
app.add_typer(models.app, name="models")
app.add_typer(keys.app, name="keys")
app.add_typer(policy.app, name="policy")
app.add_typer(audit.app, name="audit")
app.add_typer(guard.app, name="guard")
app.add_typer(retrieve.app, name="retrieve")


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"isthmus {isthmus.__version__}")
        raise typer.Exit


@app.callback()
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
        code = app(arguments, standalone_mode=False)
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
    except Exception as error:
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
