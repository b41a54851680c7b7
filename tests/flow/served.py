"""A real server in a process of its own, and a vendor on a real socket that keeps every byte it receives."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO

VENDOR_KEY = "sk-vendor-0123456789abcdef"


class _Recorded:
    """A socket's reading side that keeps what passes."""

    def __init__(self, inner: BinaryIO, received: bytearray) -> None:
        self._inner = inner
        self._received = received

    def readline(self, size: int = -1) -> bytes:
        return self._keep(self._inner.readline(size))

    def read(self, size: int = -1) -> bytes:
        return self._keep(self._inner.read(size))

    def _keep(self, data: bytes) -> bytes:
        self._received += data
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class _Handler(BaseHTTPRequestHandler):
    server: Vendor
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.rfile = _Recorded(self.rfile, self.server.received)  # type: ignore[assignment]

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.bodies.append(body)
        getattr(self, f"_{body['model']}", getattr(self, f"_{self.server.mode}"))()

    def _answer(self) -> None:
        self._begin()
        for word in self.server.reply.split(" "):
            self._event({"choices": [{"index": 0, "delta": {"content": word + " "}, "finish_reason": None}]})
        self._event({"choices": [{"index": 0, "delta": {}, "finish_reason": self.server.finish}]})
        self._event({"choices": [], "usage": {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}})
        self._chunk(b"data: [DONE]\n\n")
        self._chunk(b"")

    def _die(self) -> None:
        """Some words, then the connection is gone."""
        self._begin()
        self._event({"choices": [{"index": 0, "delta": {"content": "the first words "}, "finish_reason": None}]})
        time.sleep(0.2)
        self.close_connection = True
        self.connection.close()

    def _hang(self) -> None:
        """Headers never come."""
        self.server.released.wait(60)
        self.close_connection = True

    def _slow(self) -> None:
        """A word, and then nothing until the client has gone."""
        self._begin()
        self._event({"choices": [{"index": 0, "delta": {"content": "well "}, "finish_reason": None}]})
        try:
            while not self.server.released.wait(0.1):
                self._chunk(b": alive\n\n")
        except OSError:
            self.server.left.set()
        self.close_connection = True

    def _garbage(self) -> None:
        self._begin()
        self._chunk(b"data: {not json\n\n")
        self._chunk(b"")

    def _vectors(self) -> None:
        """What an embedding model answers: one vector a text; in the mode "fail" it has a bad day too."""
        if self.server.mode == "fail":
            return self._fail()
        texts = self.server.bodies[-1]["input"]
        data = [{"object": "embedding", "index": at, "embedding": [1.0, float(at), 0.5]} for at in range(len(texts))]
        return self._plain(200, {"object": "list", "data": data, "usage": {"prompt_tokens": 7, "total_tokens": 7}})

    def _refuse(self) -> None:
        self._plain(429, {"error": {"message": "SLOW DOWN " + VENDOR_KEY, "type": "rate"}})

    def _fail(self) -> None:
        self._plain(500, {"error": {"message": "Traceback (most recent call last): secret vendor text"}})

    _gone = _fail

    def _begin(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()

    def _event(self, payload: Mapping[str, Any]) -> None:
        payload = {"id": "x", "object": "chat.completion.chunk", "created": 0, "model": "frontier-1", **payload}
        self._chunk(b"data: " + json.dumps(payload).encode() + b"\n\n")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def _plain(self, status: int, payload: Mapping[str, Any]) -> None:
        data = json.dumps(payload).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: what was received is kept instead."""


class Vendor(ThreadingHTTPServer):
    """Plays a vendor of OpenAI's API. A model called like one of its modes ("hang") behaves so; for others ``mode``
    says how. ``received`` is every byte, headers included."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received = bytearray()
        self.bodies: list[dict[str, Any]] = []
        self.left, self.released = threading.Event(), threading.Event()
        self.reset()

    def reset(self) -> None:
        self.mode, self.reply, self.finish = "answer", "The vendor says hello.", "stop"
        self.received.clear()
        self.bodies.clear()
        self.left.clear()
        self.released.clear()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that leaves is part of the tests."""


@contextmanager
def vendor() -> Iterator[Vendor]:
    server = Vendor()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class Site:
    """A home folder with its commands, and where a server of it runs."""

    home: Path
    environment: dict[str, str] = field(default_factory=dict)
    url: str = ""
    process: subprocess.Popen[bytes] | None = None

    @property
    def config(self) -> Path:
        return self.home / "isthmus.yaml"

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "isthmus", "--home", str(self.home), *arguments]

    def run(self, *arguments: str, code: int = 0) -> Any:
        """One command with ``--json``; its object. Fails unless the exit code is ``code``."""
        done = subprocess.run(
            self.command(*arguments, "--json"), env={**os.environ, **self.environment},
            capture_output=True, text=True, check=False, cwd=self.home,
        )  # fmt: skip
        assert done.returncode == code, f"{arguments} gave {done.returncode}:\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return json.loads(done.stdout)

    def key(self, name: str, *arguments: str) -> str:
        return str(self.run("keys", "create", "--name", name, *arguments)["key"])

    @contextmanager
    def serving(self) -> Iterator[Site]:
        """A server on a free port, stopped at the end."""
        address = self.home / "run" / "server.json"
        log = (self.home / "server.log").open("ab")
        self.process = subprocess.Popen(
            self.command("serve", "--config", str(self.config), "--port", "0"),
            env={**os.environ, **self.environment}, stdout=log, stderr=log, cwd=self.home,
        )  # fmt: skip
        try:
            self.url = _wait(address, self.process, self.home / "server.log")
            yield self
        finally:
            self.process.terminate()
            self.process.wait(timeout=60)
            log.close()

    def log_entries(self) -> list[dict[str, Any]]:
        """Every entry of the audit log, in order."""
        return list(self.run("audit", "list", "--last", "100000")["entries"])


def _wait(address: Path, process: subprocess.Popen[bytes], log: Path) -> str:
    for _ in range(600):
        if address.exists() and (text := address.read_text(encoding="utf8")):
            return str(json.loads(text)["url"])
        assert process.poll() is None, log.read_text(encoding="utf8")
        time.sleep(0.05)
    raise AssertionError(f"no server after 30 s:\n{log.read_text(encoding='utf8')}")
