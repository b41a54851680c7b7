"""GET /api/audit/checkpoint, witnessed, vkey, rotation, receipts, proofs: what a stranger needs to check the record."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Scope

from isthmus.errors import InvalidRequest, NotFound
from isthmus.governance.audit.reading.reader import Signed
from isthmus.governance.audit.reading.serving import Site
from isthmus.governance.audit.tree.proofs import Consistency, Inclusion
from isthmus.principals import Principal
from isthmus.seams import AuditLog

#: Each may be another the next moment.
MUTABLE = {"cache-control": "no-store"}
_NUMBER = re.compile(r"0|[1-9][0-9]{0,17}")


def routes(
    log: AuditLog, site: Site, witnessed: Callable[[], str], authenticate: Callable[[Scope], Principal]
) -> list[Route]:
    """Signed statements as text, proofs as JSON, for any valid key: none of them tells what an entry says.

    ``witnessed`` gives the newest checkpoint that witnesses cosigned, or raises :class:`NotFound`.
    """
    return [*_statements(site, witnessed, authenticate), *_proofs(log, site, authenticate)]


def _statements(site: Site, witnessed: Callable[[], str], authenticate: Callable[[Scope], Principal]) -> list[Route]:
    async def show_checkpoint(request: Request) -> Response:
        authenticate(request.scope)
        signed = await asyncio.to_thread(site.checkpoint)
        return PlainTextResponse(signed.note, headers=MUTABLE)

    async def show_witnessed(request: Request) -> Response:
        authenticate(request.scope)
        return PlainTextResponse(await asyncio.to_thread(witnessed), headers=MUTABLE)

    async def show_vkey(request: Request) -> Response:
        authenticate(request.scope)
        return PlainTextResponse(f"{await asyncio.to_thread(site.vkey)}\n", headers=MUTABLE)

    async def show_rotation(request: Request) -> Response:
        authenticate(request.scope)
        number = request.path_params["number"]
        if not _NUMBER.fullmatch(number):
            raise NotFound("The log has no such change of its key.")
        return PlainTextResponse(await asyncio.to_thread(site.rotation, int(number)), headers=MUTABLE)

    return [
        Route("/api/audit/checkpoint", show_checkpoint),
        Route("/api/audit/witnessed", show_witnessed),
        Route("/api/audit/vkey", show_vkey),
        Route("/api/audit/rotation/{number}", show_rotation),
    ]


def _proofs(log: AuditLog, site: Site, authenticate: Callable[[Scope], Principal]) -> list[Route]:
    async def show_receipt(request: Request) -> Response:
        authenticate(request.scope)
        index = request.path_params["index"]
        if not _NUMBER.fullmatch(index):
            raise NotFound("The log has no entry of this index.")
        try:
            return JSONResponse(asdict(await log.receipt(int(index))), headers=MUTABLE)
        except IndexError as error:
            raise NotFound("The log has no entry of this index.") from error

    async def prove_inclusion(request: Request) -> Response:
        authenticate(request.scope)
        index, size = _numbers(request, "index", "size")
        proof, newest = await asyncio.to_thread(site.inclusion, index, size)
        return _proof(proof, proof.size, newest)

    async def prove_consistency(request: Request) -> Response:
        authenticate(request.scope)
        old, new = _numbers(request, "old", "new")
        proof, newest = await asyncio.to_thread(site.consistency, old, new)
        return _proof(proof, proof.new, newest)

    return [
        Route("/api/audit/receipts/{index}", show_receipt),
        Route("/api/audit/proofs/inclusion", prove_inclusion),
        Route("/api/audit/proofs/consistency", prove_consistency),
    ]


def _proof(proof: Inclusion | Consistency, size: int, newest: Signed) -> Response:
    """With the signed checkpoint where it is of that size: then an inclusion proof is a receipt."""
    signed = {"checkpoint": newest.note} if size == newest.checkpoint.size else {}
    return JSONResponse(asdict(proof) | signed, headers=MUTABLE)


def _numbers(request: Request, needed: str, optional: str) -> tuple[int, int | None]:
    """Two plain decimal numbers of the query. Raises :class:`InvalidRequest`."""
    given = request.query_params.multi_items()
    if (
        not {needed} <= {name for name, _ in given} <= {needed, optional}
        or len(given) > 2
        or len(dict(given)) < len(given)
    ):
        raise InvalidRequest(f"This address takes {needed} and, if you like, {optional}, once each.")
    for name, text in given:
        if not _NUMBER.fullmatch(text):
            raise InvalidRequest(f"{name} must be a plain decimal number.")
    found = {name: int(text) for name, text in given}
    return found[needed], found.get(optional)
