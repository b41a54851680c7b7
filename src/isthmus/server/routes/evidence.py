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


def routes(log: AuditLog, checkpoint: Callable[[], str], authenticate: Callable[[Scope], Principal]) -> list[Route]:
    """The signed checkpoint as a note, and the inclusion proof of one entry."""

    async def show_checkpoint(request: Request) -> Response:
        authenticate(request.scope)
        return PlainTextResponse(checkpoint())

    async def show_receipt(request: Request) -> Response:
        authenticate(request.scope)
        try:
            receipt = await log.receipt(request.path_params["index"])
        except IndexError as error:
            raise NotFound("The log has no entry of this index.") from error
        return JSONResponse(asdict(receipt))

    return [
        Route("/api/audit/checkpoint", show_checkpoint),
        Route("/api/audit/receipts/{index:int}", show_receipt),
    ]
