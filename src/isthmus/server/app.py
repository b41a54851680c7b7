"""The ASGI application: two raw routes where requests are many, Starlette for the rest."""

from __future__ import annotations

import logging

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from isthmus.errors import AuditUnavailable, InvalidRequest, IsthmusError, NotFound
from isthmus.governance.audit.reading.serving import Site
from isthmus.server import http
from isthmus.server.auth import KeyAuthenticator, OpenDoor
from isthmus.server.door import Door, Handler
from isthmus.server.routes import audit_entries, catalogue, evidence, health, tiles
from isthmus.server.routes.chat import Chat
from isthmus.server.routes.embeddings import Embeddings
from isthmus.server.routes.policy import routes as policy_routes
from isthmus.wire import openai_answer
from isthmus.wiring import Stack

_log = logging.getLogger("isthmus.server")


class Application:
    """Serves one stack, which whoever runs the server has started."""

    def __init__(self, stack: Stack) -> None:
        server = stack.settings.server
        keyed = server.authentication == "keys"
        authenticate = KeyAuthenticator(stack.keys) if keyed else OpenDoor(stack.typed_default)
        site = Site(stack.storage)
        self._door = Door(authenticate, stack.typed, server.max_body_bytes)
        self._raw: dict[str, Handler] = {
            "/v1/chat/completions": Chat(stack.pipeline),
            "/v1/embeddings": Embeddings(stack.pipeline),
        }
        self._rest = Starlette(
            routes=[
                *catalogue.routes(stack.cards, authenticate),
                *health.routes(stack.checks),
                *evidence.routes(stack.log, site, stack.witnessed.note, authenticate),
                *tiles.routes(site, authenticate),
                *audit_entries.routes(stack.storage, stack.cards, authenticate),
                *policy_routes(stack, authenticate),
            ],
            exception_handlers={IsthmusError: _isthmus_error, HTTPException: _http_error, Exception: _unforeseen},
        )
        self._rest.router.redirect_slashes = False  # each address has one spelling

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        handler = self._raw.get(scope.get("path", ""))
        if handler is None:
            await self._rest(scope, receive, send)
        elif scope["method"] != "POST":
            await http.send_error(send, _MethodNotAllowed("This address takes POST."), [(b"allow", b"POST")])
        else:
            await self._door.enter(handler, scope, receive, send)


class _MethodNotAllowed(InvalidRequest):
    code, status = "method_not_allowed", 405
    hint = "See docs/api.md for the addresses and their methods."


def _isthmus_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, IsthmusError)
    if isinstance(error, AuditUnavailable) and error.__cause__ is not None:  # a reader's; the log tells its own outages
        _log.warning("%s", error.message)
    headers = {name.decode(): value.decode() for name, value in http.error_headers(error)}
    return JSONResponse(openai_answer.error(error), status_code=error.status, headers=headers)


def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        return _isthmus_error(request, _MethodNotAllowed("This address does not take this method."))
    return _isthmus_error(request, NotFound("There is nothing at this address."))


def _unforeseen(request: Request, error: Exception) -> Response:
    _log.error("an unforeseen failure", exc_info=error)
    return _isthmus_error(request, IsthmusError("Isthmus failed."))
