"""GET /healthz (the process lives) and /readyz (it can answer). Open to all: they tell nothing of content."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from isthmus.errors import IsthmusError


def routes(checks: Mapping[str, Callable[[], object]]) -> list[Route]:
    """``checks`` raise an :class:`IsthmusError` while their part cannot do its work."""

    async def healthz(request: Request) -> Response:
        return JSONResponse({"alive": True})

    async def readyz(request: Request) -> Response:
        state = {name: _run(check) for name, check in checks.items()}
        ready = all(value == "ok" for value in state.values())
        return JSONResponse({"ready": ready, "parts": state}, status_code=200 if ready else 503)

    return [Route("/healthz", healthz), Route("/readyz", readyz)]


def _run(check: Callable[[], object]) -> str:
    try:
        check()
    except IsthmusError as error:
        return error.code
    return "ok"
