"""The runtime's chunks as events: text, thought, tool calls, usage, and the errors it puts into a stream."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, Protocol

from isthmus.errors import ContextTooLong, InvalidRequest, IsthmusError, UpstreamFailed
from isthmus.messages import ChatEvent, Finish, ReasoningDelta, TextDelta, Usage
from isthmus.models.llama_cpp import tools


class Reader(Protocol):
    """What becomes of the text that the model writes."""

    def feed(self, delta: TextDelta) -> Iterator[ChatEvent]: ...

    def close(self) -> Iterator[ChatEvent]: ...


class TextReader:
    """Text is text."""

    def feed(self, delta: TextDelta) -> Iterator[ChatEvent]:
        yield delta

    def close(self) -> Iterator[ChatEvent]:
        yield from ()


class CallReader:
    """Text streams; what begins with a brace is kept until it is whole: calls, or else a JSON answer."""

    def __init__(self) -> None:
        self._seen = ""
        self._text = False

    def feed(self, delta: TextDelta) -> Iterator[ChatEvent]:
        if not self._text and not (self._seen + delta.text).lstrip().startswith("{"):
            self._text = bool((self._seen + delta.text).strip())
        if self._text:
            yield delta
        else:
            self._seen += delta.text

    def close(self) -> Iterator[ChatEvent]:
        calls = list(tools.events(self._seen))
        if not calls and self._seen.strip() and not self._seen.lstrip().startswith(f'{{"{tools.KEY}"'):
            yield TextDelta(self._seen)
        yield from calls


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
    last = list(reader.close())
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
