"""A witness in a process of its own, as its operator starts it, and requests to it."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from flow.served import Site


@dataclass
class Reply:
    status: int
    kind: str
    body: str


class WitnessProcess:
    """``isthmus audit witness`` over a folder; it keeps its port over restarts."""

    def __init__(self, state: Path, *logs: str, python: tuple[str, ...] = ()) -> None:
        self._state, self._logs, self._python, self._port = state, logs, python, 0
        self.errors = state.with_name(f"{state.name}.errors")
        self.start()

    def start(self) -> None:
        logs = [word for log in self._logs for word in ("--log", log)]
        command = [sys.executable, *self._python, "-m", "isthmus", "audit", "witness", "--json"]
        command += ["--state", str(self._state), "--name", "witness.example/w1", "--port", str(self._port), *logs]
        with self.errors.open("ab") as errors:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, cwd="/")
        assert self.process.stdout is not None
        ready = self.process.stdout.readline()
        assert ready, self.errors.read_text(encoding="utf8")
        told = json.loads(ready)
        self.vkey, self.url = str(told["vkey"]), str(told["url"])
        self._port = urlsplit(self.url).port or 0

    def kill(self) -> None:
        self.process.kill()
        self._end()

    def stop(self) -> int:
        self.process.terminate()
        self._end()
        return self.process.returncode

    def _end(self) -> None:
        self.process.wait(timeout=30)
        assert self.process.stdout is not None
        self.process.stdout.close()

    def ask(self, method: str, path: str, body: bytes = b"") -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            connection.request(method, path, body)
            response = connection.getresponse()
            return Reply(response.status, response.headers.get("content-type", ""), response.read().decode())
        finally:
            connection.close()

    def add(self, body: bytes) -> Reply:
        return self.ask("POST", "/add-checkpoint", body)


@contextmanager
def witness_process(state: Path, *logs: str, python: tuple[str, ...] = ()) -> Iterator[WitnessProcess]:
    started = WitnessProcess(state, *logs, python=python)
    try:
        yield started
    finally:
        if started.process.poll() is None:
            started.stop()


def watched_by(site: Site, *witnesses: WitnessProcess) -> None:
    """Name witnesses in the site's configuration, asked several times a second."""
    told = [f"{{url: '{one.url}', vkey: '{one.vkey}'}}" for one in witnesses]
    lines = site.config.read_text(encoding="utf8").splitlines()
    kept = [line for line in lines if not line.startswith("audit:")]
    audit = f"audit: {{origin: example.org/log, witness_every: 0.2, witnesses: [{', '.join(told)}]}}"
    site.config.write_text("\n".join([*kept, audit, ""]), encoding="utf8")
