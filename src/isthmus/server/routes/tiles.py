"""GET /api/audit/tile/…: with the checkpoint beside it, the log as C2SP tlog-tiles has it, so that ``SERVER/api/audit``
is a monitoring prefix that any such tool reads. Hashes tell nothing of entries; entries need the role ``auditor``.
"""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Scope

from isthmus.errors import NotFound
from isthmus.governance.audit.reading.serving import Address, Site
from isthmus.principals import Principal

#: A tile never changes. Whoever stands between must not keep it: it was given to a key.
_IMMUTABLE = "private, max-age=31536000, immutable"


def routes(site: Site, authenticate: Callable[[Scope], Principal]) -> list[Route]:
    """Tiles of hashes and bundles of entries."""

    async def show_tile(request: Request) -> Response:
        principal = authenticate(request.scope)
        if b"%" in request.scope["raw_path"]:
            raise NotFound("A tile's address has one spelling, without escapes.")
        address = Address.parse(request.path_params["path"])
        if address.level is None:
            principal.require("auditor")
        return await asyncio.to_thread(_answer, site, address, request.headers.get("accept-encoding", ""))

    return [Route("/api/audit/tile/{path:path}", show_tile)]


def _answer(site: Site, address: Address, accepted: str) -> Response:
    """Entries are compressed for who asks for it, as they repeat themselves; hashes cannot be."""
    data, headers = site.read(address), {"cache-control": _IMMUTABLE}
    if address.level is None:
        headers["vary"] = "accept-encoding"
        if _takes_gzip(accepted):
            data, headers["content-encoding"] = gzip.compress(data, 6, mtime=0), "gzip"
    return Response(data, media_type="application/octet-stream", headers=headers)


def _takes_gzip(accepted: str) -> bool:
    """RFC 9110 section 12.5.3, for the one coding that is offered; a weight of 0 refuses it."""
    for choice in accepted.lower().split(","):
        coding, _, weight = choice.replace(" ", "").partition(";q=")
        if coding == "gzip":
            return bool(weight.strip("0.")) if weight else True
    return False
