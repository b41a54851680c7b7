"""What clients see of a server whose disk is broken, and of one that is well again."""

from __future__ import annotations

import http.client
import json
import time
from contextlib import closing
from itertools import product
from urllib.parse import urlsplit

from server_crash_story import MODELS, Question, Reply, ask

#: Whichever of the two comes first to a disk that both stand on.
UNAVAILABLE = frozenset({"audit_unavailable", "store_unavailable"})
_PATIENCE_S = 45


def ask_all(url: str, key: str, name: str) -> list[tuple[Question, Reply]]:
    """Each model, whole and as a stream. Nothing hangs: each is answered in time, whatever the answer."""
    questions = [
        Question(f"{name}-{n}", model, stream) for n, (model, stream) in enumerate(product(MODELS, (False, True)))
    ]
    return [(question, ask(url, key, question, timeout=_PATIENCE_S)) for question in questions]


def ready(url: str) -> tuple[int, dict[str, str]]:
    """The status of /readyz, and what it says of each part."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=_PATIENCE_S)
    with closing(connection):
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        return response.status, json.loads(response.read())["parts"]


def recovers(url: str, key: str, name: str) -> list[tuple[Question, Reply]]:
    """The answers of a server that is well again, which it must be by itself."""
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        replies = ask_all(url, key, name)
        if all(reply.receipt for _, reply in replies) and ready(url)[0] == 200:
            return replies
        assert time.monotonic() < deadline, [reply for _, reply in replies]
        time.sleep(0.2)
