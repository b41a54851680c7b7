"""``isthmus serve``."""

from __future__ import annotations

import json
import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.logging import RichHandler

from isthmus.cli.terminal import Config, configuration, err, out
from isthmus.config import Home, Settings


def serve(
    config: Config = None,
    host: Annotated[str | None, typer.Option("--host", help="Address to listen on.")] = None,
    port: Annotated[
        int | None, typer.Option("--port", min=0, max=65535, help="Port to listen on; 0 takes any free one.")
    ] = None,
    why: Annotated[
        str,
        typer.Option("--why", envvar="ISTHMUS_WHY", help="Why the configuration or policy changed, for the record."),
    ] = "",
) -> None:
    """Start the endpoint and serve until Ctrl+C."""
    from isthmus.server.run import serve as run  # here, so that its imports cost the other commands nothing

    logging.basicConfig(
        level=logging.WARNING, format="%(message)s", handlers=[RichHandler(console=err(), show_path=False)]
    )
    settings, home = configuration(config)
    settings = _listening(settings, host, port)
    address = home.path / "run" / "server.json"
    try:
        run(settings, home, lambda url: _ready(url, settings, home, address), why)
    finally:
        with suppress(FileNotFoundError):
            address.unlink()


def _listening(settings: Settings, host: str | None, port: int | None) -> Settings:
    server = settings.server
    server = msgspec.structs.replace(
        server, host=server.host if host is None else host, port=server.port if port is None else port
    )
    return msgspec.structs.replace(settings, server=server)


def _ready(url: str, settings: Settings, home: Home, address: Path) -> None:
    """Say where, and then leave the address in the home folder for scripts and for ``isthmus ask``."""
    console = out()
    console.print(f"Isthmus answers at [bold]{url}/v1[/]  (home {home.path})")
    console.print("Every decision goes into the log: isthmus audit list")
    if settings.server.authentication == "none":
        console.print("No key is asked for: only this machine can reach it.")
    address.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    address.write_text(json.dumps({"url": url, "pid": os.getpid()}), encoding="utf8")
