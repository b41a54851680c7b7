"""A witness's HTTP, a small process: ``POST /add-checkpoint`` as C2SP tlog-witness says, ``GET /`` its key."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable

import uvicorn
from starlette.types import Receive, Scope, Send

from isthmus.errors import IsthmusError
from isthmus.governance.audit.notes.note import LARGEST
from isthmus.governance.audit.witness.witness import Answer, Witness

_log = logging.getLogger("isthmus.witness")
#: The proof is 63 lines of 45 bytes at most.
_LARGEST_BODY = LARGEST + 4096
#: A body must be here after so many seconds.
_PATIENCE_S = 10.0
#: Requests at a time; each holds a body, and all wait for one lock.
_AT_ONCE = 64


class WitnessApplication:
    """Serves one witness. Nothing about a request is written anywhere but what the witness keeps."""

    def __init__(self, witness: Witness) -> None:
        self._witness = witness

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await _send(send, await self._answer(scope, receive))

    async def _answer(self, scope: Scope, receive: Receive) -> Answer:
        match (scope["path"], scope["method"]):
            case ("/add-checkpoint", "POST"):
                return await self._add(receive)
            case ("/" | "/vkey", "GET" | "HEAD"):
                return Answer(200, f"{self._witness.vkey}\n")
            case ("/add-checkpoint" | "/" | "/vkey", _):
                return Answer(405, "This address does not take this method.\n")
        return Answer(404, "There is nothing at this address: POST /add-checkpoint, or GET /.\n")

    async def _add(self, receive: Receive) -> Answer:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                body = await _body(receive)
        except TimeoutError:
            return Answer(408, "The request's body did not come.\n")
        if body is None:
            return Answer(413, f"The request is larger than {_LARGEST_BODY} bytes.\n")
        try:
            answer = await asyncio.to_thread(self._witness.add_checkpoint, body)
        except (OSError, IsthmusError) as error:
            _log.error("nothing was cosigned: %s", error)
            return Answer(500, "The witness cannot use its state; nothing was cosigned.\n")
        if answer.status in (409, 422):
            _log.warning("refused with %d: %s", answer.status, answer.body.strip())
        return answer


async def _body(receive: Receive) -> bytes | None:
    """The request's body; ``None`` where it is larger than any that could be meant."""
    body, more = bytearray(), True
    while more and len(body) <= _LARGEST_BODY:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return bytes(body) if len(body) <= _LARGEST_BODY else None


async def _send(send: Send, answer: Answer) -> None:
    body = answer.body.encode()
    head = [(b"content-type", answer.kind.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": answer.status, "headers": head})
    await send({"type": "http.response.body", "body": body})


def serve_witness(witness: Witness, listener: socket.socket, ready: Callable[[], None]) -> None:
    """Serve on a listening socket until SIGINT or SIGTERM. ``ready`` is called once requests are answered."""
    config = uvicorn.Config(
        WitnessApplication(witness),
        log_level="error",
        access_log=False,
        lifespan="off",
        limit_concurrency=_AT_ONCE,
        timeout_graceful_shutdown=5,
        server_header=False,
        http="httptools",
    )
    _Server(config, ready).run(sockets=[listener])


class _Server(uvicorn.Server):
    """uvicorn's server, which says when it is ready."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._ready()
