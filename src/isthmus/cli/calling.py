"""Commands that ask the server that runs in a home folder, with the key of whoever calls."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlsplit

from isthmus.config import Home
from isthmus.errors import IsthmusError, ServerUnreachable

KEY = "ISTHMUS_KEY"
_TIMEOUT = 60.0  # seconds


def post(home: Home, path: str, body: Mapping[str, object]) -> dict[str, Any]:
    """The server's answer. Raises what it refused with, and :class:`ServerUnreachable`.

    The key comes from the environment (``ISTHMUS_KEY``): an argument could be read by everyone on the machine.
    """
    place = urlsplit(_address(home))
    connection = HTTPConnection(place.hostname or "", place.port, timeout=_TIMEOUT)
    try:
        connection.request("POST", path, json.dumps(body), _headers())
        response = connection.getresponse()
        answer = json.loads(response.read())
    except (OSError, HTTPException, ValueError) as error:
        raise ServerUnreachable(f"The server at {place.netloc} does not answer: {error}.") from error
    finally:
        connection.close()
    if response.status >= 400:
        raise _refusal(answer)
    return dict(answer)


def _address(home: Home) -> str:
    try:
        return str(json.loads((home.path / "run" / "server.json").read_bytes())["url"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ServerUnreachable(f"No server runs in the home folder {home.path}.") from error


def _headers() -> dict[str, str]:
    key = os.environ.get(KEY, "").strip()
    return {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key.isascii() and key else {})}


def _refusal(answer: Any) -> IsthmusError:
    """The server's error as ours, by its code, so that the exit code is the same as if it had been raised here."""
    told = answer.get("error", {}) if isinstance(answer, Mapping) else {}
    kinds = {kind.code: kind for kind in _tree(IsthmusError)}
    kind = kinds.get(str(told.get("code")), IsthmusError)
    if kind.status == 401:
        return kind(str(told.get("message")), hint=f"Set {KEY} to a key of yours that has the role that this needs.")
    return kind(str(told.get("message", "The server failed.")))


def _tree(kind: type[IsthmusError]) -> Iterator[type[IsthmusError]]:
    for child in kind.__subclasses__():
        yield child
        yield from _tree(child)
