"""A server that replays a vendor's wire over a real socket, and keeps the bytes that it was sent. For tests only.

A reply's pieces go out one write each; between them ``PAUSE`` lets the other side read, and ``HANG`` waits until the
other side has gone.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

PAUSE = object()
HANG = object()
CUT = object()  # close the connection without ending the body


@dataclass(frozen=True)
class Reply:
    status: int = 200
    pieces: tuple[bytes | object, ...] = ()
    kind: str = "text/event-stream"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Received:
    """One request as it came; ``gone`` is set once the client has closed its connection."""

    line: str
    headers: dict[str, str]
    body: bytes
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def json(self) -> dict[str, Any]:
        plain = json.loads(self.body)
        assert isinstance(plain, dict)
        return plain


class Replay:
    """Answers the n-th request with the n-th reply, and the last reply for ever after."""

    def __init__(self, *replies: Reply) -> None:
        self.replies = list(replies)
        self.received: list[Received] = []
        self.connections = 0
        self.arrived = asyncio.Event()
        self.url = ""
        self.serving: set[asyncio.Task[None]] = set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self.serving.add(task)
        try:
            while (received := await _read(reader)) is not None:
                self.received.append(received)
                self.arrived.set()
                reply = self.replies[min(len(self.received), len(self.replies)) - 1]
                if not await _write(reply, received, reader, writer):
                    return
        except ConnectionError:
            pass
        finally:
            if self.received:
                self.received[-1].gone.set()
            await _closed(writer)


async def _read(reader: asyncio.StreamReader) -> Received | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    line, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in lines)}
    return Received(line, headers, await reader.readexactly(int(headers.get("content-length", 0))))


async def _write(reply: Reply, received: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    """Whether the connection lives on."""
    if reply.status == 0:  # not even headers
        await reader.read()
        received.gone.set()
        return False
    headers = {"Content-Type": reply.kind, "Transfer-Encoding": "chunked", **reply.headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write(f"HTTP/1.1 {reply.status} Replayed\r\n{lines}\r\n".encode())
    for piece in reply.pieces:
        if piece is CUT:
            return False
        if piece is PAUSE:
            await asyncio.sleep(0.02)
        elif piece is HANG:
            await reader.read()
            received.gone.set()
            return False
        elif isinstance(piece, bytes) and piece:
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            await writer.drain()
    writer.write(b"0\r\n\r\n")
    await writer.drain()
    return True


@asynccontextmanager
async def replaying(*replies: Reply) -> AsyncIterator[Replay]:
    """A server on a free port of the loopback; ``url`` is its address."""
    replay = Replay(*replies)
    server = await asyncio.start_server(replay._serve, "127.0.0.1", 0)
    replay.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield replay
    finally:
        server.close()
        if replay.serving:
            await asyncio.wait(replay.serving, timeout=5)


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


def events(*payloads: object, space: bool = True, done: bool = True, end: str = "\n\n") -> tuple[bytes, ...]:
    """Server-sent events, one a piece; a string goes out as it is, such as a comment."""
    prefix = "data: " if space else "data:"
    texts = [p if isinstance(p, str) else prefix + json.dumps(p, ensure_ascii=False) for p in payloads]
    if done:
        texts.append(prefix + "[DONE]")
    return tuple((text + end).encode() for text in texts)


def whole(status: int, payload: object, **headers: str) -> Reply:
    """A response of JSON."""
    return Reply(status, (json.dumps(payload).encode(),), "application/json", headers)
