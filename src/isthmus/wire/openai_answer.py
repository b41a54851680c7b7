"""OpenAI's chat completions, server side: the answer out, whole or in chunks.

A whole answer is the fold of the same events that a stream is made of (``messages.fold``). Our own fields travel
under ``isthmus``; in a stream, in its last chunk before ``[DONE]``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from isthmus.errors import AuditUnavailable, IsthmusError
from isthmus.messages import (
    ChatEvent,
    Completion,
    Finish,
    ReasoningDelta,
    RefusalDelta,
    Started,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    Usage,
)

_encode = msgspec.json.Encoder().encode
DONE = b"data: [DONE]\n\n"


def frame(payload: object) -> bytes:
    """One server-sent event (WHATWG HTML, section 9.2)."""
    return b"data: " + _encode(payload) + b"\n\n"


def usage(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.total,
        "prompt_tokens_details": {"cached_tokens": usage.cached},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }


def error(error: IsthmusError, request: str = "") -> dict[str, Any]:
    """OpenAI's error object, with our stable ``code``, the ``hint`` and the details beside the message; and the
    request's id, where it has one: by it the log tells what happened."""
    error = _public(error)
    kind = "invalid_request_error" if 400 <= error.status < 500 else "server_error"
    message = f"{error.message} {error.hint}".strip()
    return {
        "error": {
            "message": message,
            "type": kind,
            "param": None,
            "code": error.code,
            "isthmus": {"hint": error.hint, **error.details, **({"request": request} if request else {})},
        }
    }


def _public(error: IsthmusError) -> IsthmusError:
    """What whoever holds a key may know. Why the log cannot be used, and what to do, is the operator's: it names paths,
    and stands in the server's own log."""
    return AuditUnavailable(_NO_LOG, hint=_LATER) if isinstance(error, AuditUnavailable) else error


_NO_LOG = "The audit log cannot be written or read now, and nothing is answered without it."
_LATER = "Try again shortly. Where it lasts, tell whoever runs this server: its own log says why."


def completion(id: str, created: int, model: str, answer: Completion, isthmus: Mapping[str, object]) -> bytes:
    """A whole ``chat.completion``; ``model`` is the catalogue's id, as in a stream."""
    message: dict[str, Any] = {"role": "assistant", "content": answer.text or None, "refusal": answer.refusal or None}
    if answer.reasoning:
        message["reasoning_content"] = answer.reasoning
    if answer.tool_calls:
        message["tool_calls"] = [_call(call) for call in answer.tool_calls]
    elif message["content"] is None and not answer.refusal:
        message["content"] = ""
    choice = {
        "index": 0,
        "message": message,
        "finish_reason": answer.finish,
        "logprobs": {"content": answer.logprobs, "refusal": None} if answer.logprobs else None,
    }
    return _encode(
        {
            "id": id,
            "object": "chat.completion",
            "created": created,
            "model": model,
            "system_fingerprint": answer.fingerprint or None,
            "choices": [choice],
            "usage": usage(answer.usage),
            "isthmus": isthmus,
        }
    )


def _call(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


class ChunkEncoder:
    """Turns events into server-sent ``chat.completion.chunk`` events.

    The finish and the usage are held back for ``last``, which is called once the outcome is recorded: our fields ride
    on the last event that the client expects anyway, so that code which reads ``choices[0]`` of every chunk works.
    """

    def __init__(self, id: str, created: int, model: str, include_usage: bool) -> None:
        self._base = {"id": id, "object": "chat.completion.chunk", "created": created, "model": model}
        self._include_usage = include_usage
        self._usage = Usage()
        self._finish: str | None = None
        self._opened = False

    def chunks(self, event: ChatEvent) -> Iterator[bytes]:
        """The bytes for one event; none for what has no place in OpenAI's stream."""
        match event:
            case Started():
                self._base["system_fingerprint"] = event.fingerprint or None
            case Usage():
                self._usage = event
            case Finish():
                self._finish = event.reason
            case TextDelta():
                yield from self._open()
                yield self._chunk({"content": event.text}, event.logprobs)
            case ReasoningDelta():
                yield from self._open()
                yield self._chunk({"reasoning_content": event.text})
            case RefusalDelta():
                yield from self._open()
                yield self._chunk({"refusal": event.text})
            case ToolCallDelta():
                yield from self._open()
                yield self._chunk({"tool_calls": [_call_delta(event)]})

    def last(self, isthmus: Mapping[str, object]) -> Iterator[bytes]:
        """The last chunk or two: the finish, the usage where the client asked for it, and our fields."""
        yield from self._open()
        finish = self._payload({}, self._finish)
        if not self._include_usage:
            yield frame({**finish, "isthmus": isthmus})
            return
        yield frame(finish)
        yield frame({**self._base, "choices": [], "usage": usage(self._usage), "isthmus": isthmus})

    def _open(self) -> Iterator[bytes]:
        if not self._opened:
            self._opened = True
            yield self._chunk({"role": "assistant", "content": ""})

    def _chunk(self, delta: dict[str, Any], logprobs: tuple[Mapping[str, object], ...] = ()) -> bytes:
        return frame(self._payload(delta, None, logprobs))

    def _payload(
        self, delta: dict[str, Any], finish: str | None, logprobs: tuple[Mapping[str, object], ...] = ()
    ) -> dict[str, Any]:
        choice: dict[str, Any] = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        if logprobs:
            choice["logprobs"] = {"content": logprobs}
        payload: dict[str, Any] = {**self._base, "choices": [choice]}
        if self._include_usage:
            payload["usage"] = None
        return payload


def _call_delta(event: ToolCallDelta) -> dict[str, Any]:
    function: dict[str, Any] = {"arguments": event.arguments}
    if event.name is not None:
        function["name"] = event.name
    plain: dict[str, Any] = {"index": event.index, "function": function}
    if event.id is not None:
        plain |= {"id": event.id, "type": "function"}
    return plain
