"""The way in that every model route shares: authenticate, read, answer, and tell errors, whatever the wire format."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from starlette.types import Receive, Scope, Send

from isthmus.errors import IsthmusError
from isthmus.labels import Label
from isthmus.principals import Principal
from isthmus.server import http

_log = logging.getLogger("isthmus.server")


@dataclass(frozen=True, slots=True)
class Call:
    """An authenticated call: who, the body, and how text that they type is labelled for a purpose."""

    id: str
    principal: Principal
    body: bytes
    typed: Callable[[str], Label]


Handler: TypeAlias = Callable[[Call, Send], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Door:
    """``typed(principal, purpose)`` labels typed text; ``most`` bounds a body in bytes."""

    authenticate: Callable[[Scope], Principal]
    typed: Callable[[Principal, str], Label]
    most: int

    async def enter(self, handler: Handler, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the handler for one request; cancel it if the client leaves; answer errors in the client's shape."""
        id = "req_" + secrets.token_hex(12)
        try:
            principal = self.authenticate(scope)
            body = await http.body(scope, receive, self.most)
            call = Call(id, principal, body, lambda purpose: self.typed(principal, purpose))
            await http.unless_client_leaves(handler(call, send), receive)
        except http.ClientLeft:
            return
        except IsthmusError as error:
            await http.send_error(send, error, request=id)
        except Exception:  # noqa: BLE001 - the boundary: a fault of ours must not show its traceback
            _log.exception("request %s failed in a way that nobody foresaw", id)
            await http.send_error(send, IsthmusError("Isthmus failed."), request=id)
