"""Model servers that run on this machine: found and named, never asked about and never sent a prompt."""

from __future__ import annotations

import http.client
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import msgspec

_MOST = 4_000_000


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server of that kind listens, and where its list of models has their names."""

    name: str
    provider: str
    url: str
    path: str
    items: str
    field: str


OLLAMA = Place("Ollama", "ollama", "http://127.0.0.1:11434", "/api/tags", "models", "name")
LM_STUDIO = Place("LM Studio", "lm_studio", "http://127.0.0.1:1234", "/v1/models", "data", "id")
PLACES = (OLLAMA, LM_STUDIO)


@dataclass(frozen=True, slots=True)
class Found:
    """A server that answered, with the names of its models. ``provider`` is what isthmus.yaml calls it."""

    name: str
    provider: str
    url: str
    models: tuple[str, ...]


def find(places: Sequence[Place] = PLACES, timeout: float = 0.5) -> list[Found]:
    """The servers that answer within ``timeout`` seconds, in the order of ``places``."""
    if not places:
        return []
    with ThreadPoolExecutor(len(places)) as pool:
        return [found for found in pool.map(lambda place: _ask(place, timeout), places) if found is not None]


def _ask(place: Place, timeout: float) -> Found | None:
    # http.client follows no redirect and uses no proxy: a question to this machine stays on it.
    connection = http.client.HTTPConnection(urlsplit(place.url).netloc, timeout=timeout)
    with closing(connection):
        try:
            connection.request("GET", place.path)
            response = connection.getresponse()
            plain = msgspec.json.decode(response.read(_MOST)) if response.status == 200 else None
        except (OSError, http.client.HTTPException, ValueError):
            return None  # nobody there, or somebody else
    if not isinstance(plain, dict) or not isinstance(plain.get(place.items), list):
        return None
    return Found(place.name, place.provider, place.url, tuple(_names(plain[place.items], place.field)))


def _names(items: list[Any], field: str) -> Iterator[str]:
    for item in items:
        if isinstance(item, dict) and isinstance(name := item.get(field), str):
            yield name
