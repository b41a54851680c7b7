"""Model servers on this machine: found and named, whatever answers."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from isthmus.models.discover import LM_STUDIO, OLLAMA, Place, find

Answer = tuple[int, bytes]


@contextmanager
def playing(answers: dict[str, Answer], asked: list[str] | None = None) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if asked is not None:
                asked.append(f"{self.command} {self.path}")
            status, body = answers.get(self.path, (404, b"not found"))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815  the name is the standard library's

        def log_message(self, format: str, *args: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def at(place: Place, url: str) -> Place:
    return replace(place, url=url)


def test_both_are_found_and_asked_for_their_models_only() -> None:
    asked: list[str] = []
    # Shapes: github.com/ollama/ollama docs/api.md "List Local Models"; lmstudio.ai/docs "OpenAI compatibility".
    answers = {
        "/api/tags": (200, b'{"models":[{"name":"llama3.2:3b","size":1},{"name":"qwen3:8b"}]}'),
        "/v1/models": (200, b'{"object":"list","data":[{"id":"phi-4","object":"model"}]}'),
    }
    with playing(answers, asked) as url:
        found = find([at(OLLAMA, url), at(LM_STUDIO, url)])
    assert [(server.name, server.models) for server in found] == [
        ("Ollama", ("llama3.2:3b", "qwen3:8b")),
        ("LM Studio", ("phi-4",)),
    ]
    assert sorted(asked) == ["GET /api/tags", "GET /v1/models"]


def test_server_without_models_is_found() -> None:
    with playing({"/api/tags": (200, b'{"models":[]}')}) as url:
        assert find([at(OLLAMA, url)])[0].models == ()


@pytest.mark.parametrize(
    "answer",
    [
        (200, b"<html>hello</html>"),
        (200, b""),
        (200, b"[]"),
        (200, b'{"models":{"name":"x"}}'),
        (200, b'{"data":[{"id":"x"}]}'),
        (200, b"\xff\xfe"),
        (500, b'{"models":[]}'),
        (401, b'{"models":[]}'),
    ],
)
def test_somebody_else_on_the_port_is_not_taken_for_ollama(answer: Answer) -> None:
    with playing({"/api/tags": answer}) as url:
        assert find([at(OLLAMA, url)]) == []


def test_strange_entries_are_left_out() -> None:
    with playing({"/api/tags": (200, b'{"models":[3,null,{"name":7},{"x":1},{"name":"ok"}]}')}) as url:
        assert find([at(OLLAMA, url)])[0].models == ("ok",)


def test_nobody_there_is_no_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert find([at(OLLAMA, f"http://127.0.0.1:{port}")]) == []
    assert find([]) == []


def _silent(connection: socket.socket) -> None:
    time.sleep(1)


def _garbage(connection: socket.socket) -> None:
    connection.sendall(b"\x00\x01SSH-2.0 hello\r\n\r\n")


@pytest.mark.parametrize("act", [_silent, _garbage])
def test_servers_that_hang_or_speak_otherwise_cost_no_more_than_the_timeout(
    act: Callable[[socket.socket], None],
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                act(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        before = time.monotonic()
        assert find([at(OLLAMA, f"http://127.0.0.1:{server.getsockname()[1]}")], timeout=0.2) == []
        assert time.monotonic() - before < 0.9
        thread.join()
