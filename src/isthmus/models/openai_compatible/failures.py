"""What a vendor's error means to us. Its text may quote the prompt, so none of it is passed on: it is only read.

Statuses and codes after OpenAI's "Error codes", Azure's "Content filtering", OpenRouter's "Errors", and the sources of
vLLM, TGI and llama.cpp's server.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from isthmus.errors import (
    ContextTooLong,
    InvalidRequest,
    IsthmusError,
    RequestTooLarge,
    Upstream,
    UpstreamFailed,
    UpstreamRateLimited,
)
from isthmus.models.openai_compatible.endpoint import read
from isthmus.seams import HttpResponse

MOST_BYTES = 64_000  # of an error that are read
MIDWAY = 502  # what an error object stands for that does not say
_TOO_LONG = re.compile(
    r"context.{0,20}(length|window|size)|maximum context|prompt is too long|too many tokens"
    r"|inputs?` (tokens|must have less)",
    re.IGNORECASE,
)
_FILTERED = frozenset({"content_filter", "content_policy_violation", "ResponsibleAIPolicyViolation"})
_NO_CREDIT = frozenset({"insufficient_quota", "insufficient_balance", "billing_hard_limit_reached"})


@dataclass(frozen=True, slots=True)
class Failure:
    """``status`` is HTTP's, or what the error object says in its place. ``field`` names the part of our request that
    the vendor rejects, where it is one of ours. ``retry_after`` in seconds."""

    status: int
    code: str = ""
    message: str = ""
    field: str = ""
    retry_after: float | None = None
    flagged: bool = False

    @property
    def filtered(self) -> bool:
        """Whether the vendor's own filter stopped the prompt: an answer, not an outage."""
        return self.flagged or self.code in _FILTERED

    def error(self, model: str) -> IsthmusError:
        """The error for a user; ``model`` is the catalogue's name. The secret and the vendor's text are not in it."""
        if self.code == "context_length_exceeded" or _TOO_LONG.search(self.message):
            return ContextTooLong(f"The conversation is longer than {model} can read.")
        if self.code in _NO_CREDIT:
            return self._failed(f"The account behind {model} has no credit left.", "Top it up with the vendor.")
        return self._by_status(model)

    def _by_status(self, model: str) -> IsthmusError:
        match self.status:
            case 401 | 403:
                return self._failed(f"The vendor refused our key for {model}.", "Check the model's `api_key`.")
            case 402:
                return self._failed(f"The account behind {model} has no credit left.", "Top it up with the vendor.")
            case 404:
                return self._failed(
                    f"The vendor does not know the model behind {model}.", "Check the model's `model` and `base_url`."
                )
            case 413:
                return RequestTooLarge(f"The request is larger than {model}'s server takes.", hint="Send less text.")
            case 429:
                return UpstreamRateLimited(f"The vendor limits the rate of calls of {model}.", details=self._details())
            case 400 | 422:
                which = f": it rejects {self.field!r}" if self.field else ""
                return InvalidRequest(f"{model}'s server does not take this request{which}.", details=self._details())
            case status if 300 <= status < 400:
                return self._failed(
                    f"{model}'s server redirects, and nothing follows.", "Check the model's `base_url`."
                )
            case _:
                return self._failed(f"{model}'s server failed.", None)

    def _failed(self, message: str, hint: str | None) -> UpstreamFailed:
        return UpstreamFailed(message, hint=hint, details=self._details())

    def _details(self) -> dict[str, object]:
        details: dict[str, object] = {"upstream_status": self.status}
        if self.retry_after is not None:
            details["retry_after"] = self.retry_after
        return details


async def of(response: HttpResponse, request: bytes) -> Failure:
    """The failure that a response with an unhappy status is; ``request`` is the body that we sent."""
    body = b""
    with suppress(Upstream):  # the status alone tells enough
        body = await read(response, MOST_BYTES)
    return _read(_object(body), response.status, _retry_after(response.headers), _object(request))


def midway(payload: bytes) -> Failure:
    """The failure that an error object in a stream, or in a response of status 200, is."""
    return _read(_object(payload), MIDWAY, None, {})


def _read(plain: dict[str, Any], status: int, retry_after: float | None, fields: Mapping[str, object]) -> Failure:
    inner = plain.get("error")
    error: dict[str, Any] = inner if isinstance(inner, dict) else plain
    code = error.get("code") or error.get("error_type") or error.get("type") or ""
    if status == MIDWAY and isinstance(code, int) and 400 <= code < 600:
        status = code
    message = inner if isinstance(inner, str) else error.get("message")
    field = error.get("param")
    metadata = error.get("metadata")
    return Failure(
        status,
        str(code),
        str(message or "")[:4000],
        field if isinstance(field, str) and field in fields else "",
        retry_after,
        isinstance(metadata, dict) and "flagged_input" in metadata,  # OpenRouter: moderation of the prompt
    )


def _object(body: bytes) -> dict[str, Any]:
    try:
        plain = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return plain if isinstance(plain, dict) else {}


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from a number, or from a date by the server's own clock (RFC 9110, section 10.2.3)."""
    value = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", value):
        return float(value)
    try:
        wait = parsedate_to_datetime(value) - parsedate_to_datetime(headers.get("Date", ""))
    except (ValueError, TypeError):
        return None
    return max(0.0, wait.total_seconds())
