"""``isthmus audit rotate-key``: a new key takes over the log's name."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from isthmus.cli.audit.opening import open_log
from isthmus.cli.terminal import Config, Json, configuration, show


def rotate_key(
    why: Annotated[str, typer.Option("--why", help="The reason; it stands in the log.")] = "",
    config: Config = None,
    json: Json = False,
) -> None:
    """Give the log a new signing key: the old one signs for it, and is destroyed. The server may run meanwhile."""
    from isthmus.wiring import rotate_key as rotate

    open_log(config).checkpoint()  # a log that is not there has no key to change: none is begun for it
    rotated = rotate(*configuration(config), why=why)
    plain = {"old": rotated.old, "new": rotated.new, "size": rotated.size}
    show(plain, json, lambda console: _render(console, rotated.new, rotated.size))


def _render(console: Console, vkey: str, size: int) -> None:
    console.print(f"From {size} entries on, a new key signs the log. Its public form (vkey):")
    console.out(vkey)
    console.print("Whoever holds the old one can go on with it: the rotation, signed by both, is kept with the log.")
