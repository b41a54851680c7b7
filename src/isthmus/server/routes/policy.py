"""POST /api/policy/reload: put a changed policy folder in force, or keep the old set and say why."""

from __future__ import annotations

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Scope

from isthmus.principals import Principal
from isthmus.wiring import Stack


def routes(stack: Stack, authenticate: Callable[[Scope], Principal]) -> list[Route]:
    """Needs the role ``policy``; the change is an entry of the log."""

    async def reload(request: Request) -> Response:
        principal = authenticate(request.scope)
        principal.require("policy")
        return JSONResponse({"policy": await stack.reload_policy(principal.id)})

    return [Route("/api/policy/reload", reload, methods=["POST"])]
