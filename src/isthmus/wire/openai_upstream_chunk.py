"""OpenAI's chat completions, client side: one chunk of an answer, by every name in use.

A whole ``chat.completion`` is read as one chunk whose ``message`` is the delta. Reasoning is ``reasoning_content``
(DeepSeek, vLLM, LM Studio), ``reasoning`` (OpenRouter, Groq, Ollama), or a part of the content of the type ``thinking``
(Mistral).
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from isthmus.errors import UpstreamFailed

DONE = b"[DONE]"


class FunctionPart(Struct):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None  # an object where a server forgot that it is JSON text


class CallPart(Struct):
    index: int | None = None
    id: str | None = None
    function: FunctionPart | None = None


class Delta(Struct):
    content: str | list[dict[str, Any]] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[CallPart] | CallPart | None = None  # one object, not a list, from older TGI


class Logprobs(Struct):
    content: list[dict[str, Any]] | None = None


class Choice(Struct):
    index: int = 0
    delta: Delta | None = None
    message: Delta | None = None
    finish_reason: str | None = None
    logprobs: Logprobs | None = None


class PromptDetails(Struct):
    cached_tokens: int | None = None


class CompletionDetails(Struct):
    reasoning_tokens: int | None = None


class Counted(Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None
    prompt_cache_hit_tokens: int | None = None  # DeepSeek's name for cached tokens


class Groq(Struct):
    usage: Counted | None = None


class Chunk(Struct):
    id: str | None = None
    model: str | None = None
    system_fingerprint: str | None = None
    choices: list[Choice] | None = None
    usage: Counted | None = None
    error: Any = None
    object: str | None = None
    x_groq: Groq | None = None


_decoder = msgspec.json.Decoder(Chunk)


class StreamError(Exception):
    """The vendor reports an error inside a stream: ``payload`` is its JSON, for whoever maps errors."""

    def __init__(self, payload: bytes) -> None:
        super().__init__("an error inside the stream")
        self.payload = payload


def decode(payload: bytes) -> Chunk:
    """Raises :class:`UpstreamFailed` for what is not a chunk, and :class:`StreamError` for an error object."""
    try:
        chunk = _decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # Not "from": the cause would quote the vendor's text.
        raise UpstreamFailed("The model's server sent something that is not a chat completion.") from None
    if chunk.error is not None or chunk.object == "error":
        raise StreamError(payload)
    return chunk
