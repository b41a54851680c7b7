"""``isthmus audit witness``: watch over others' logs. A process of its own, without configuration or home folder."""

from __future__ import annotations

import logging
import socket
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from isthmus.cli.audit.opening import key
from isthmus.cli.terminal import Json, show
from isthmus.errors import ConfigInvalid, InvalidRequest, VerificationFailed
from isthmus.governance.audit.notes.checkpoint import Verifier
from isthmus.governance.audit.notes.note import check_name


def witness(
    state: Annotated[Path, typer.Option("--state", help="The witness's folder: its key, and what it cosigned.")],
    log: Annotated[
        list[str], typer.Option("--log", help="The public key (vkey) of a log to witness: text or a file (repeatable).")
    ],
    name: Annotated[
        str | None, typer.Option("--name", help="The witness's name, at first use: like a URL without its scheme.")
    ] = None,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Port to listen on; 0 takes any free one.")
    ] = 8790,
    json: Json = False,
) -> None:
    """Serve a witness until Ctrl+C: it cosigns a log's checkpoints while each begins with the one before."""
    from isthmus.clock import SystemClock
    from isthmus.governance.audit.files import Files
    from isthmus.governance.audit.witness.state import WitnessState
    from isthmus.governance.audit.witness.witness import Witness
    from isthmus.server.witness import serve_witness

    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logs = [key(given, Verifier.parse) for given in log]
    if name is not None:
        _check(name)
    with closing(WitnessState(state, Files())) as held, _listener(host, port) as listener:
        serving = Witness(held.cosigner(name), logs, held, SystemClock().now)
        url, names = _url(listener), [one.name for one in logs]
        plain = {"vkey": serving.vkey, "url": url, "logs": names}
        text = f"{serving.vkey}\nserves at {url}, for {', '.join(names)}"
        serve_witness(serving, listener, lambda: show(plain, json, lambda console: _print(console, text)))


def _check(name: str) -> None:
    """Before anything is made under that name."""
    try:
        check_name(name)
    except VerificationFailed:
        raise InvalidRequest(
            f"A witness cannot be called {name!r}: a name has no spaces and no plus signs.",
            hint="Like a URL without its scheme: --name witness.example.org/w1",
        ) from None


def _print(console: Console, text: str) -> None:
    """At once, also where the output is a file or a pipe."""
    console.print(text, markup=False)
    console.file.flush()


def _listener(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise ConfigInvalid(
            f"Cannot listen on {host}:{port}: {error.strerror or error}.", hint="Choose another --port or --host."
        ) from error


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
