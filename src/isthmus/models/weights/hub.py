"""Files of a model hub over HTTPS: `{endpoint}/{owner}/{name}/resolve/main/{file}`.

The hub answers with a redirect to its storage; ``x-linked-etag`` on the way there is the sha256 of a large file
(huggingface.co/docs/hub, "Git LFS pointer"). Redirects are followed here only, by hand: never from HTTPS to HTTP, and
the token goes to the hub's own host and to no other.
"""

from __future__ import annotations

import http.client
import os
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from typing import IO, Any
from urllib.parse import quote, urljoin, urlsplit

from isthmus.errors import InvalidRequest, ModelUnavailable
from isthmus.models.weights.digests import Progress
from isthmus.models.weights.landing import Landing

_CHUNK = 1 << 18
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_HOPS = 5
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_SHA256 = re.compile(r'(?:W/)?"?([0-9a-f]{64})"?')
_AGAIN = "Run it again: the download goes on where it stopped."


@dataclass(frozen=True, slots=True)
class HubFile:
    """One file of a repository; ``file`` may have folders."""

    owner: str
    name: str
    file: str

    @classmethod
    def parse(cls, text: str) -> HubFile:
        """From ``owner/name/file``. Raises :class:`InvalidRequest`."""
        segments = text.split("/")
        if len(segments) < 3 or not all(_NAME.fullmatch(segment) for segment in segments):
            raise InvalidRequest(f"hub:{text} is no file of a hub.", hint="Write hub:OWNER/NAME/FILE.")
        return cls(segments[0], segments[1], "/".join(segments[2:]))

    def __str__(self) -> str:
        return f"{self.owner}/{self.name}/{self.file}"


@dataclass(frozen=True, slots=True)
class Facts:
    """What the hub says of a file before it is fetched; ``None`` where it says nothing."""

    sha256: str | None
    size: int | None


@dataclass(frozen=True, slots=True)
class Hub:
    """A hub. ``timeout`` in seconds bounds each wait for bytes."""

    endpoint: str = "https://huggingface.co"
    token: str = ""
    timeout: float = 30.0

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Hub:
        """``HF_ENDPOINT`` names a mirror, ``HF_TOKEN`` opens gated models: the hub's own names for them."""
        return cls(environment.get("HF_ENDPOINT") or cls().endpoint, environment.get("HF_TOKEN", ""))

    def facts(self, file: HubFile) -> Facts:
        """Asks for the headers only. Raises :class:`ModelUnavailable`."""
        url = self._url(file)
        for _ in range(_HOPS):
            headers, status, location = self._head(url)
            if (linked := _digest(headers.get("x-linked-etag"))) or status not in _REDIRECTS:
                size = headers.get("x-linked-size") or (headers.get("content-length") if status == 200 else None)
                return Facts(linked or _digest(headers.get("etag")), int(size) if size and size.isdigit() else None)
            url = self._next(url, location)
        raise ModelUnavailable(f"The hub redirects too often for {file}.")

    def download(self, file: HubFile, facts: Facts, landing: Landing, progress: Progress) -> None:
        """Append to ``landing`` what it lacks. Raises :class:`ModelUnavailable`; what came is kept for the next run."""
        if facts.sha256 is not None and landing.resume() and landing.done == facts.size:
            return
        if facts.sha256 is None:
            landing.restart()  # nothing would tell two versions of the file apart
        with self._get(file, landing.done) as response:
            if response.status != 206:
                landing.restart()
            try:
                while chunk := response.read(_CHUNK):
                    landing.write(chunk)
                    progress(landing.done, facts.size or 0)
            except (OSError, http.client.HTTPException) as error:
                raise ModelUnavailable(f"The download of {file} was cut: {error}.", hint=_AGAIN) from error
        if facts.size is not None and landing.done < facts.size:
            raise ModelUnavailable(f"The download of {file} was cut at {landing.done:,} bytes.", hint=_AGAIN)

    def _url(self, file: HubFile) -> str:
        return f"{self.endpoint.rstrip('/')}/{file.owner}/{file.name}/resolve/main/{quote(file.file)}"

    def _head(self, url: str) -> tuple[Message, int, str]:
        with self._open("HEAD", url) as response:
            return response.headers, response.status, response.headers.get("location", "")

    def _get(self, file: HubFile, start: int) -> Any:
        url = self._url(file)
        for _ in range(_HOPS):
            response = self._open("GET", url, {"Range": f"bytes={start}-"} if start else {})
            if response.status not in _REDIRECTS:
                return response
            response.close()
            url = self._next(url, response.headers.get("location", ""))
        raise ModelUnavailable(f"The hub redirects too often for {file}.")

    def _next(self, url: str, location: str) -> str:
        target = urljoin(url, location)
        if urlsplit(target).scheme not in {"https", urlsplit(self.endpoint).scheme}:
            raise ModelUnavailable(f"The hub redirects to {target}, which is not HTTPS.")
        return target

    def _open(self, method: str, url: str, headers: Mapping[str, str] | None = None) -> Any:
        sent = {"Accept-Encoding": "identity", "User-Agent": "isthmus", **(headers or {})}
        if self.token and urlsplit(url).netloc == urlsplit(self.endpoint).netloc:
            sent["Authorization"] = f"Bearer {self.token}"
        request = urllib.request.Request(url, method=method, headers=sent)  # noqa: S310  the scheme is checked in _next
        try:
            return urllib.request.build_opener(_AsTheyCome).open(request, timeout=self.timeout)
        except urllib.error.HTTPError as error:
            error.close()
            raise _refused(url, error.code) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ModelUnavailable(f"{urlsplit(url).netloc} cannot be reached: {error}.", hint=_AGAIN) from error


class _AsTheyCome(urllib.request.HTTPRedirectHandler):
    """Hands a redirect to the caller instead of following it."""

    def redirect_request(self, *_: object) -> None:
        return None

    def http_error_302(self, req: object, fp: IO[bytes], code: int, msg: str, headers: Message) -> IO[bytes]:
        return fp

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _digest(header: str | None) -> str | None:
    match = _SHA256.fullmatch(header or "")
    return match.group(1) if match else None


def _refused(url: str, status: int) -> ModelUnavailable:
    hints = {
        401: "Set HF_TOKEN to a token that may read it; gated models ask for their terms to be accepted first.",
        404: "Check owner, name and file on the hub.",
    }
    hint = hints.get(401 if status == 403 else status, _AGAIN)
    return ModelUnavailable(f"{urlsplit(url).netloc} answered {status} for {urlsplit(url).path}.", hint=hint)
