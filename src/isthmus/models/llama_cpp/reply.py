"""The runtime's chunks as events: text, thought, tool calls, usage, and the errors it puts into a stream."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Protocol

from isthmus.errors import ContextTooLong, InvalidRequest, IsthmusError, UpstreamFailed
from isthmus.messages import ChatEvent, ChatRequest, Finish, ReasoningDelta, TextDelta, Usage
from isthmus.models.llama_cpp import tools


class Reader(Protocol):
    """What becomes of the text that the model writes. ``close`` gives what was kept; ``whole``: it was not cut.

    ``close`` raises :class:`UpstreamFailed` where a whole answer is not what was asked for.
    """

    def feed(self, delta: TextDelta) -> Iterator[ChatEvent]: ...

    def close(self, *, whole: bool) -> Iterator[ChatEvent]: ...


class TextReader:
    """Text is text."""

    def feed(self, delta: TextDelta) -> Iterator[ChatEvent]:
        yield delta

    def close(self, *, whole: bool) -> Iterator[ChatEvent]:
        yield from ()


class JsonReader:
    """JSON streams, and must be JSON in the end."""

    def __init__(self) -> None:
        self._seen = ""

    def feed(self, delta: TextDelta) -> Iterator[ChatEvent]:
        self._seen += delta.text
        yield delta

    def close(self, *, whole: bool) -> Iterator[ChatEvent]:
        if whole and not tools.is_json(self._seen):
            raise UpstreamFailed("The local model did not keep to the JSON schema.")
        yield from ()


class CallReader:
    """What begins with a brace is kept until it is whole: calls, or a JSON answer. Text, where allowed, streams."""

    def __init__(self, *, text: bool) -> None:
        self._allowed = text
        self._text = False
        self._seen = ""

    def feed(self, delta: TextDelta) -> Iterator[ChatEvent]:
        kept = (self._seen + delta.text).strip()
        self._text = self._text or (self._allowed and bool(kept) and not kept.startswith("{"))
        if self._text:
            yield delta
        else:
            self._seen += delta.text

    def close(self, *, whole: bool) -> Iterator[ChatEvent]:
        if self._text:
            return
        if calls := list(tools.events(self._seen)):
            yield from calls
        elif whole and not tools.is_json(self._seen):
            raise UpstreamFailed("The local model did not keep to the tools' schema.")
        elif not self._seen.startswith(f'{{"{tools.KEY}"'):  # calls that were cut are nothing to show
            yield TextDelta(self._seen)


def reader(request: ChatRequest) -> Reader:
    """The reader for what the request allows the model to write."""
    if tools.offered(request):
        return CallReader(text=tools.optional(request) and request.format is None)
    return TextReader() if request.format is None else JsonReader()


async def events(chunks: AsyncIterator[dict[str, Any]], reader: Reader) -> AsyncIterator[ChatEvent]:
    """Usage and finish come last. A stream that the runtime cuts has no finish.

    Raises :class:`ContextTooLong`, :class:`InvalidRequest` and :class:`UpstreamFailed`.
    """
    reason: str | None = None
    usage = Usage()
    async for chunk in chunks:
        if "error" in chunk:
            raise _error(chunk["error"])
        if "usage" in chunk:
            usage = _usage(chunk["usage"])
        for choice in chunk.get("choices", ()):
            reason = choice.get("finish_reason") or reason
            for event in _deltas(choice, reader):
                yield event
    if reason is None:
        return
    last = list(reader.close(whole=reason != "length"))
    for event in last:
        yield event
    yield usage
    called = any(not isinstance(event, TextDelta) for event in last)
    yield Finish("length" if reason == "length" else "tool_calls" if called else "stop")


def _deltas(choice: Mapping[str, Any], reader: Reader) -> Iterator[ChatEvent]:
    delta = choice.get("delta", {})
    if thought := delta.get("reasoning_content"):
        yield ReasoningDelta(thought)
    if text := delta.get("content"):
        yield from reader.feed(TextDelta(text, _logprobs(choice.get("logprobs"))))


def _logprobs(plain: Mapping[str, Any] | None) -> tuple[Mapping[str, object], ...]:
    """OpenAI's fields of each token; the runtime adds the token's number."""
    return tuple(
        {**_token(token), "top_logprobs": [_token(other) for other in token.get("top_logprobs", ())]}
        for token in (plain or {}).get("content", ())
    )


def _token(token: Mapping[str, Any]) -> dict[str, object]:
    return {name: token[name] for name in ("token", "logprob", "bytes") if name in token}


def _usage(plain: Mapping[str, Any]) -> Usage:
    details = plain.get("prompt_tokens_details") or {}
    return Usage(plain["prompt_tokens"], plain["completion_tokens"], details.get("cached_tokens", 0))


def _error(plain: Mapping[str, Any]) -> IsthmusError:
    """Nothing of the runtime's own text: it may quote the prompt."""
    if plain.get("type") == "exceed_context_size_error":
        tokens, context = plain.get("n_prompt_tokens"), plain.get("n_ctx")
        return ContextTooLong(
            f"The conversation has {tokens} tokens; the model reads {context}.",
            details={"tokens": tokens, "context": context},
        )
    if plain.get("code") == 400:
        return InvalidRequest("The local runtime does not take this request.")
    return UpstreamFailed("The local runtime failed.")
