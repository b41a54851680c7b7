"""OpenAI's chat completions, client side: the answer in, chunk by chunk. A whole answer is one chunk: one path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from isthmus.errors import UpstreamFailed
from isthmus.messages import (
    ChatEvent,
    Finish,
    FinishReason,
    ReasoningDelta,
    RefusalDelta,
    Started,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from isthmus.wire.openai_upstream_chunk import CallPart, Choice, Chunk, Counted, Delta, FunctionPart, decode

#: Why an answer ended, by every word in use. Any other word is taken for "stop": the vendor ended it properly.
_FINISHES: Mapping[str, FinishReason] = {
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",  # Mistral
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
    "safety": "content_filter",
}
#: The vendor's own failure in place of an end: OpenRouter and Mistral, vLLM, DeepSeek.
_FAILURES = frozenset({"error", "abort", "insufficient_system_resource"})


class AnswerDecoder:
    """Turns each payload of a stream (or one whole answer) into events; ``end`` gives the last two.

    ``Usage`` and ``Finish`` wait for the end, because usage comes after the finish. ``model`` is what was asked for,
    for servers that do not name what answers; ``prompt`` is the estimate where the vendor counts nothing.
    """

    def __init__(self, model: str, prompt: int) -> None:
        self._started = False
        self._model = model
        self._fingerprint = ""
        self._usage = Usage(prompt=prompt, estimated=True)
        self._written = 0
        self._finish: FinishReason | None = None
        self._calls = _Calls()

    @property
    def finished(self) -> bool:
        """Whether the model has said why it ended: what the connection does after that loses nothing."""
        return self._finish is not None

    def feed(self, payload: bytes) -> Iterator[ChatEvent]:
        """The events of one payload. Raises :class:`UpstreamFailed` for what is not a chunk, and
        :class:`StreamError` for an error object."""
        chunk = decode(payload)
        self._model = chunk.model or self._model
        self._fingerprint = chunk.system_fingerprint or self._fingerprint
        self._count(chunk)
        for choice in chunk.choices or ():
            if choice.index != 0:
                continue
            yield from self._start()
            yield from self._choice(choice, chunk.id or "call")

    def filter(self) -> None:
        """The vendor's own filter ended the answer."""
        self._finish = "content_filter"

    def end(self) -> Iterator[ChatEvent]:
        """The usage and the finish. Raises :class:`UpstreamFailed` where the stream was cut before its finish."""
        if self._finish is None:
            raise UpstreamFailed("The model's server ended its answer midway.")
        yield from self._start()
        usage = self._usage
        if usage.estimated:
            usage = Usage(prompt=usage.prompt, completion=-(-self._written // 4), estimated=True)
        yield usage
        yield Finish(self._finish)

    def _start(self) -> Iterator[ChatEvent]:
        if not self._started:
            self._started = True
            yield Started(self._model, self._fingerprint)

    def _count(self, chunk: Chunk) -> None:
        usage = chunk.usage or (chunk.x_groq and chunk.x_groq.usage)
        if usage:
            self._usage = _usage(usage)

    def _choice(self, choice: Choice, id: str) -> Iterator[ChatEvent]:
        delta = choice.delta or choice.message
        if delta is not None:
            logprobs = choice.logprobs and choice.logprobs.content
            for event in _texts(delta, tuple(logprobs or ())):
                self._written += len(event.text.encode())
                yield event
            for call in self._calls.feed(delta.tool_calls, id):
                self._written += len(call.arguments.encode())
                yield call
        if choice.finish_reason:
            self._finish = _finish(choice.finish_reason, self._calls.any)


class _Calls:
    """Numbers the tool calls of one answer. Some servers omit ``index`` (Gemini's), or send 0 for every call (older
    Ollama): a name comes only with the first delta of a call, so another name with another id is another call."""

    def __init__(self) -> None:
        self._ids: list[str] = []
        self._at: dict[int, int] = {}

    @property
    def any(self) -> bool:
        return bool(self._ids)

    def feed(self, calls: list[CallPart] | CallPart | None, id: str) -> Iterator[ToolCallDelta]:
        for call in [calls] if isinstance(calls, CallPart) else calls or ():
            function = call.function or FunctionPart()
            index, first = self._number(call, function, id)
            arguments = _arguments(function.arguments)
            if first:
                yield ToolCallDelta(index, arguments, self._ids[index], function.name or "")
            elif arguments:
                yield ToolCallDelta(index, arguments)

    def _number(self, call: CallPart, function: FunctionPart, id: str) -> tuple[int, bool]:
        last = len(self._ids) - 1
        known = last if call.index is None else self._at.get(call.index, -1)
        if known >= 0 and not (function.name and call.id and call.id != self._ids[known]):
            return known, False
        index = len(self._ids)
        self._ids.append(call.id or f"{id}-{index}")
        self._at[index if call.index is None else call.index] = index
        return index, True


def _texts(delta: Delta, logprobs: tuple[dict[str, Any], ...]) -> Iterator[TextDelta | ReasoningDelta | RefusalDelta]:
    if thought := delta.reasoning_content or delta.reasoning:
        yield ReasoningDelta(thought)
    if isinstance(delta.content, list):
        yield from _parts(delta.content)
    elif delta.content or logprobs:
        yield TextDelta(delta.content or "", logprobs)
    if delta.refusal:
        yield RefusalDelta(delta.refusal)


def _parts(parts: list[dict[str, Any]]) -> Iterator[TextDelta | ReasoningDelta]:
    """Mistral's content in parts: ``text``, and ``thinking`` which holds texts."""
    for part in parts:
        if isinstance(text := part.get("text"), str) and text:
            yield TextDelta(text)
        for thought in part.get("thinking") or ():
            if isinstance(thought, dict) and isinstance(text := thought.get("text"), str) and text:
                yield ReasoningDelta(text)


def _arguments(arguments: str | dict[str, Any] | None) -> str:
    if isinstance(arguments, dict):
        return msgspec.json.encode(arguments).decode()
    return arguments or ""


def _finish(word: str, calls: bool) -> FinishReason:
    if word in _FAILURES:
        raise UpstreamFailed("The model's server failed midway.", details={"finish_reason": word})
    reason = _FINISHES.get(word, "stop")
    return "tool_calls" if calls and reason == "stop" else reason


def _usage(usage: Counted) -> Usage:
    """A part never exceeds its whole, whatever the vendor says: the price is computed from these."""
    prompt, completion = max(usage.prompt_tokens or 0, 0), max(usage.completion_tokens or 0, 0)
    cached = (
        usage.prompt_tokens_details and usage.prompt_tokens_details.cached_tokens
    ) or usage.prompt_cache_hit_tokens
    reasoning = usage.completion_tokens_details and usage.completion_tokens_details.reasoning_tokens
    return Usage(prompt, completion, min(max(cached or 0, 0), prompt), min(max(reasoning or 0, 0), completion))
