"""GET /api/audit/checkpoint and /api/audit/receipts/INDEX: what a stranger needs to check the record."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Scope

from isthmus.errors import NotFound
from isthmus.principals import Principal
from isthmus.seams import AuditLog

_LONGEST_INDEX = 18  # digits


def routes(log: AuditLog, checkpoint: Callable[[], str], authenticate: Callable[[Scope], Principal]) -> list[Route]:
    """The signed checkpoint as a note, and the inclusion proof of one entry."""

    async def show_checkpoint(request: Request) -> Response:
        authenticate(request.scope)
        return PlainTextResponse(checkpoint())

    async def show_receipt(request: Request) -> Response:
        authenticate(request.scope)
        index = request.path_params["index"]
        try:
            receipt = await log.receipt(int(index) if len(index) <= _LONGEST_INDEX else -1)
        except (IndexError, ValueError) as error:
            raise NotFound("The log has no entry of this index.") from error
        return JSONResponse(asdict(receipt))

    return [
        Route("/api/audit/checkpoint", show_checkpoint),
        Route("/api/audit/receipts/{index}", show_receipt),
    ]
