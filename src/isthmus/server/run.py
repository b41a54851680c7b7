"""Run the server: one process, uvloop and httptools, a socket bound before anything is built."""

from __future__ import annotations

import asyncio
import errno
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn
import uvloop

from isthmus.config import Home, Settings
from isthmus.errors import ConfigInvalid, IsthmusError
from isthmus.server.app import Application
from isthmus.server.auth import is_loopback
from isthmus.wiring import Stack, build

_log = logging.getLogger("isthmus.server")
_GRACE = 30  # seconds that streams have to finish once the server is told to stop


def bind(settings: Settings) -> socket.socket:
    """The listening socket. Raises :class:`ConfigInvalid` beyond loopback without authentication, or where the port
    is taken."""
    host, port = settings.server.host, settings.server.port
    if settings.server.authentication == "none" and not is_loopback(host):
        raise ConfigInvalid(
            f"server.authentication is none, so the endpoint cannot listen on {host}.",
            hint="Listen on 127.0.0.1, or set server.authentication to keys.",
        )
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        taken = "another program listens there" if error.errno == errno.EADDRINUSE else str(error.strerror or error)
        raise ConfigInvalid(
            f"Cannot listen on {host}:{port}: {taken}.", hint="Choose another port with --port or server.port."
        ) from error


def serve(settings: Settings, home: Home, ready: Callable[[str], None], why: str = "") -> None:
    """Serve until SIGINT or SIGTERM. ``ready`` is called with the base URL once requests are answered. ``why`` is
    recorded with what this start changes.

    SIGHUP reloads the policy. Raises what ``bind`` and ``wiring.build`` raise.
    """
    with bind(settings) as listener:
        host, port = listener.getsockname()[:2]
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(build(settings, home), listener, lambda: ready(url), why))


async def _serve(stack: Stack, listener: socket.socket, ready: Callable[[], None], why: str) -> None:
    config = uvicorn.Config(
        Application(stack),
        log_level="warning",
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=_GRACE,
        server_header=False,
        date_header=False,
        http="httptools",
    )
    try:
        await stack.start(why=why)
        await stack.announce()
        await _Server(config, stack, ready).serve(sockets=[listener])
    finally:
        await stack.stop()


class _Server(uvicorn.Server):
    """uvicorn's server, which says when it is ready, and leaves signals to the event loop: uvicorn itself raises
    them again once it has shut down, before our own parts could stop."""

    def __init__(self, config: uvicorn.Config, stack: Stack, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._stack = stack
        self._ready = ready
        self._reloads: set[asyncio.Task[None]] = set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                loop.remove_signal_handler(number)

    def _reload(self) -> None:
        task = asyncio.get_running_loop().create_task(self._reload_policy())
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)

    async def _reload_policy(self) -> None:
        try:
            _log.warning("policy reloaded: %s", await self._stack.reload_policy("signal"))
        except IsthmusError as error:
            _log.error("the policy was not reloaded, the old one stays: %s", error.message)
