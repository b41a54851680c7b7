"""Who is asking: a bearer key, looked up on every request so that a revoked one stops at once."""

from __future__ import annotations

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
        """The local user. A browser's cross-site request is refused: any page could reach loopback otherwise."""
        site = header(scope, b"sec-fetch-site")
        if site in ("cross-site", "same-site"):
            raise Unauthenticated("A web page of another origin may not use this endpoint without a key.")
        return self._principal
