"""HTTP at its plainest, for the raw ASGI routes: bodies in with a bound, answers and errors out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable

import msgspec
from starlette.types import Receive, Scope, Send

from isthmus.errors import InvalidRequest, IsthmusError, RequestTooLarge
from isthmus.wire import openai_answer

Headers = Iterable[tuple[bytes, bytes]]


class ClientLeft(Exception):
    """The client closed the connection; whatever was under way has been cancelled."""


def header(scope: Scope, name: bytes) -> str:
    """A header's first value; empty where it is absent. Names are lower case in ASGI."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


async def body(scope: Scope, receive: Receive, most: int) -> bytes:
    """The request's body. Raises :class:`RequestTooLarge` beyond ``most`` bytes, before reading them where it can."""
    declared = header(scope, b"content-length")
    if declared.isdigit() and int(declared) > most:
        raise RequestTooLarge(f"The request is larger than {most:,} bytes.")
    if header(scope, b"content-encoding") not in ("", "identity"):
        raise InvalidRequest("A compressed request body is not accepted.")
    chunks, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientLeft
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        if size > most:
            raise RequestTooLarge(f"The request is larger than {most:,} bytes.")
        if not message.get("more_body", False):
            return b"".join(chunks)


async def unless_client_leaves(work: Awaitable[None], receive: Receive) -> None:
    """Run ``work`` to its end, or cancel it once the client is gone. Raises :class:`ClientLeft` then."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        left = not task.done()
        if left:
            task.cancel()
        await asyncio.gather(task, return_exceptions=left)
    finally:
        for pending in (task, gone):
            pending.cancel()
    if left:
        raise ClientLeft


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def send(send: Send, status: int, payload: bytes, headers: Headers = ()) -> None:
    """A whole JSON answer."""
    head = [(b"content-type", b"application/json"), (b"content-length", str(len(payload)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": payload})


async def send_error(sender: Send, error: IsthmusError, headers: Headers = (), request: str = "") -> None:
    """An error in OpenAI's shape; ``request`` is the request's id, where it has one."""
    named = [*headers, (b"x-request-id", request.encode())] if request else headers
    payload = msgspec.json.encode(openai_answer.error(error, request))
    await send(sender, error.status, payload, [*named, *error_headers(error)])


def error_headers(error: IsthmusError) -> list[tuple[bytes, bytes]]:
    """What a client's retry logic reads."""
    headers = []
    if error.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    after = error.details.get("retry_after")
    if isinstance(after, int | float):
        headers.append((b"retry-after", str(max(1, round(after))).encode()))
    return headers
