"""POST /api/policy/reload: put a changed policy folder in force, or keep the old set and say why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Scope

from isthmus.errors import InvalidRequest
from isthmus.principals import Principal
from isthmus.wiring import Stack

_LARGEST = 16_384  # bytes of a body


class _Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``why`` is recorded with the change."""

    why: Annotated[str, msgspec.Meta(max_length=1_000)] = ""


def routes(stack: Stack, authenticate: Callable[[Scope], Principal]) -> list[Route]:
    """Needs the role ``policy``; the change is an entry of the log, with the ``why`` of the body, if there is one."""

    async def reload(request: Request) -> Response:
        principal = authenticate(request.scope)
        principal.require("policy")
        why = _why(await _read(request))
        return JSONResponse({"policy": await stack.reload_policy(principal.id, why)})

    return [Route("/api/policy/reload", reload, methods=["POST"])]


async def _read(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LARGEST:
            raise InvalidRequest(f"The body is larger than {_LARGEST:,} bytes.")
    return bytes(body)


def _why(body: bytes) -> str:
    """Raises :class:`InvalidRequest` where the body is not ``{"why": "…"}``."""
    if not body.strip():
        return ""
    try:
        return msgspec.json.decode(body, type=_Body).why
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"The body is not {{'why': '…'}}: {error}.") from error
