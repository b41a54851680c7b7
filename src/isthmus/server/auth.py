"""Who is asking: a bearer key, looked up on every request so that a revoked one stops at once."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from starlette.types import Scope

from isthmus.errors import Unauthenticated
from isthmus.labels import Label
from isthmus.principals import Principal
from isthmus.seams import Keys
from isthmus.server.http import header


class KeyAuthenticator:
    """``Authorization: Bearer KEY``, or ``api-key: KEY`` as Azure's clients send it."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def __call__(self, scope: Scope) -> Principal:
        """The principal. Raises :class:`Unauthenticated`, the same whether the key is absent, unknown or revoked."""
        scheme, _, token = header(scope, b"authorization").partition(" ")
        if scheme.lower() != "bearer":
            token = header(scope, b"api-key")
        return self._keys.authenticate(token.strip())


class OpenDoor:
    """``server.authentication: none``: everyone is the same local user. Only ever bound to loopback."""

    def __init__(self, default: Label) -> None:
        self._principal = Principal("local", "local user", frozenset({"user", "curator"}), default=default)

    def __call__(self, scope: Scope) -> Principal:
        """The local user. A web page is refused, unless it was served from this machine: any page that a browser
        here opens could reach loopback otherwise, also under a name of its own (DNS rebinding)."""
        host, origin = header(scope, b"host"), header(scope, b"origin")
        foreign = (host and not is_loopback(_name(f"//{host}"))) or (origin and not is_loopback(_name(origin)))
        if foreign or header(scope, b"sec-fetch-site").lower() in ("cross-site", "same-site"):
            raise Unauthenticated("A web page of another origin may not use this endpoint without a key.")
        return self._principal


def _name(address: str) -> str:
    """The host in a URL; of what is none (an origin may be "null"), something that is no loopback."""
    try:
        return urlsplit(address).hostname or "?"
    except ValueError:
        return "?"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address; a name other than localhost is taken for the network."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
