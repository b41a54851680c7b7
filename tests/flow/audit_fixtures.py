"""Logs of any size through the real journal, and a server over one."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.client import HTTPConnection
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

from flow.served import Site
from isthmus.config import Home
from isthmus.governance.audit.files import Files
from isthmus.governance.audit.writing.journal import Journal, Place

ORIGIN = "example.org/log"
CONFIG = f"""
models:
  - {{id: local/echo, provider: scripted, locality: in_process, openness: {{weights: open}}, options: {{echo: true}}}}
routing: {{prefer: [local/echo]}}
audit: {{origin: {ORIGIN}}}
"""


def event(i: int) -> dict[str, object]:
    return {"type": "t", "request": f"r{i}", "note": "Grüße 🌊\n" * (i % 5)}


def fill(home: Path, start: int, end: int) -> str:
    """Entries ``start`` to ``end`` of the log under a home folder, in one group; the newest checkpoint's note."""
    place = Home(home)
    journal = Journal(Place(place.audit, place.secrets / "log-signing-key", ORIGIN), lambda: datetime.now(UTC), Files())
    journal.commit([event(i) for i in range(start, end)], flush=True)
    assert journal.view is not None
    journal.close()
    return journal.view.note


def site(home: Path) -> Site:
    """A home with a configuration, ready to be served."""
    home.mkdir(parents=True, exist_ok=True)
    made = Site(home)
    made.config.write_text(CONFIG, encoding="utf8")
    return made


def get(url: str, path: str, key: str = "", **headers: str) -> tuple[int, dict[str, str], bytes]:
    """A GET of exactly that path: no client tidies it up on the way."""
    at = urlsplit(url)
    connection = HTTPConnection(at.hostname or "", at.port, timeout=30)
    if key:
        headers["authorization"] = f"Bearer {key}"
    try:
        connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@contextmanager
def static(folder: Path) -> Iterator[str]:
    """A folder behind ``python -m http.server``; its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
