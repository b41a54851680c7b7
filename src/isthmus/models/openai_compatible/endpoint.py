"""Where a model is called, and with what key. The key is held here and nowhere else; it has no ``repr``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode, urlsplit

from isthmus.errors import ConfigInvalid, UpstreamFailed
from isthmus.models.openai_compatible.rows import Row
from isthmus.seams import HttpRequest, HttpResponse, Transport


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One model of one server. ``model`` is the vendor's name of it; ``timeout`` in seconds."""

    row: Row
    base_url: str
    model: str
    timeout: float
    transport: Transport
    key: str = field(default="", repr=False)
    query: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
            raise ConfigInvalid(f"The base_url of {self.model!r} must be http(s)://HOST[:PORT][/PATH].")
        if not (self.key.isascii() and self.key.isprintable()):
            raise ConfigInvalid(f"The api_key of {self.model!r} holds characters that no HTTP header can carry.")

    def url(self, call: str) -> str:
        """The address of a call such as ``/chat/completions``."""
        path = self.row.path.format(model=quote(self.model, safe=""))
        query = f"?{urlencode(self.query)}" if self.query else ""
        return f"{self.base_url.rstrip('/')}{path}{call}{query}"

    async def post(self, call: str, body: bytes) -> HttpResponse:
        """The response, of whatever status; the caller closes it."""
        headers = {"Content-Type": "application/json"}
        if self.key:
            headers[self.row.header] = self.row.scheme + self.key
        return await self.transport.send(HttpRequest("POST", self.url(call), headers, body, self.timeout))


async def read(response: HttpResponse, most: int) -> bytes:
    """The whole body. Raises :class:`UpstreamFailed` where it exceeds ``most`` bytes."""
    body = bytearray()
    async for chunk in response.chunks():
        body += chunk
        if len(body) > most:
            raise UpstreamFailed(f"The model's server sent an answer of more than {most} bytes.")
    return bytes(body)
