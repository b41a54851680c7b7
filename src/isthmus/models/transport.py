"""HTTP to models' servers with aiohttp: one session, connections kept alive.

No redirect is followed (a vendor could send text elsewhere), no proxy is taken from the environment, no cookie is
kept, certificates are verified. Answers are asked for uncompressed, and a compressed one is refused: what we hold is
then never larger than what was sent. Nothing of a failure's own text reaches an error: it may quote what was sent.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping

import aiohttp

from isthmus.errors import Upstream, UpstreamFailed, UpstreamTimeout
from isthmus.seams import HttpRequest, HttpResponse

_HEADERS = {"User-Agent": "isthmus", "Accept-Encoding": "identity"}


class AiohttpTransport:
    """``connect`` bounds the opening of a connection, in seconds. ``tls`` replaces the system's trust, for a site's
    own authority. The session opens on the first call, in the loop that runs then."""

    def __init__(self, *, connect: float = 10.0, tls: ssl.SSLContext | None = None) -> None:
        self._connect = connect
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None

    async def send(self, request: HttpRequest) -> HttpResponse:
        """The response, once its headers are here. Raises :class:`UpstreamFailed` and :class:`UpstreamTimeout`."""
        try:
            async with asyncio.timeout(request.timeout):
                response = await self._opened().request(
                    request.method,
                    request.url,
                    headers=request.headers,
                    data=request.body or None,
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(sock_connect=self._connect, sock_read=request.timeout),
                )
        except (aiohttp.ClientError, OSError) as error:
            raise _failure(error) from None
        if response.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
            response.close()
            raise UpstreamFailed("The model's server sent a compressed answer that was not asked for.")
        return _Response(response)

    async def close(self) -> None:
        """Close every connection; calls in flight fail."""
        if self._session is not None:
            session, self._session = self._session, None
            await session.close()

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            # No limit here: how many calls a model takes at once is the concurrency wrapper's business.
            connector = aiohttp.TCPConnector(limit=0, ssl=True if self._tls is None else self._tls)
            self._session = aiohttp.ClientSession(
                connector=connector,
                headers=_HEADERS,
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
            )
        return self._session


class _Response:
    """One answer, and the iterator over its bytes; a class, not a generator, so that closing needs no unwinding."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    @property
    def status(self) -> int:
        return self._response.status

    @property
    def headers(self) -> Mapping[str, str]:
        return self._response.headers

    def chunks(self) -> AsyncIterator[bytes]:
        return self

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        try:
            chunk = await self._response.content.readany()
        except (aiohttp.ClientError, OSError) as error:
            raise _failure(error) from None
        if not chunk:
            raise StopAsyncIteration
        return chunk

    async def close(self) -> None:
        """Give the connection back if the answer was read to its end, else close it: that cancels the call."""
        self._response.close()


def _failure(error: Exception) -> Upstream:
    match error:
        case TimeoutError():
            return UpstreamTimeout("The model's server did not answer in time.")
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            return UpstreamFailed(
                "The certificate of the model's server cannot be verified.",
                hint="Check the model's `base_url`, and that the server's certificate is trusted on this machine.",
            )
        case aiohttp.ClientConnectorError():
            return UpstreamFailed(
                "The model's server cannot be reached.",
                hint="Check that it runs, and the model's `base_url`.",
            )
        case _:
            return UpstreamFailed("The connection to the model's server was cut.")
