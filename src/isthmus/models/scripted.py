"""A model that says what it is told to: for tests, and for trying policies, guards and routing without weights.

``options`` of a chat model::

    replies: ["First answer.", {calls: [{name: search, arguments: {query: x}}]}]   # in turn, over and over
    echo: true                # without replies: repeat the last user message
    delay: 0.05               # seconds before each chunk
    failures: [{call: 2, error: upstream_timeout, after: 3}]   # the second call fails after three events

An answer streams word by word, a word counts as a token, ``stop`` and ``max_tokens`` are obeyed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import AsyncIterator, Iterator
from itertools import count
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from isthmus import errors
from isthmus.cards import Card
from isthmus.config import ModelSettings
from isthmus.errors import ConfigInvalid
from isthmus.messages import (
    ChatEvent,
    ChatRequest,
    EmbedRequest,
    Finish,
    FinishReason,
    ReasoningDelta,
    RefusalDelta,
    Sampling,
    Started,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from isthmus.models.provider import ProviderContext
from isthmus.seams import ChatModel, Clock, Embedder, Embeddings

_WORD = re.compile(r"\S+\s*|\s+")
_FAILURES = {
    kind.code: kind
    for kind in (errors.UpstreamFailed, errors.UpstreamTimeout, errors.UpstreamRateLimited, errors.ModelUnavailable)
}
Fault = Literal["upstream_failed", "upstream_timeout", "upstream_rate_limited", "model_unavailable", "cut"]


class Call(Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    arguments: dict[str, Any] = {}


class Reply(Struct, frozen=True, forbid_unknown_fields=True):
    """One answer; tool calls come after the text."""

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    calls: list[Call] = []


class Failure(Struct, frozen=True, forbid_unknown_fields=True):
    """The ``call``-th call (from 1) fails ``after`` so many events; ``cut``: the stream just ends."""

    call: Annotated[int, Meta(ge=1)]
    error: Fault = "upstream_failed"
    after: Annotated[int, Meta(ge=0)] = 0


class Script(Struct, frozen=True, forbid_unknown_fields=True):
    replies: list[str | Reply] = []
    echo: bool = False
    delay: Annotated[float, Meta(ge=0)] = 0.0
    failures: list[Failure] = []


class Scripted:
    """A ``ChatModel``. ``requests`` are those that it has seen, in order."""

    def __init__(self, card: Card, script: Script, clock: Clock) -> None:
        self._card = card
        self._script = script
        self._clock = clock
        self.requests: list[ChatRequest] = []

    @property
    def card(self) -> Card:
        return self._card

    async def stream(self, request: ChatRequest) -> AsyncIterator[ChatEvent]:
        """Raises what the script says."""
        self.requests.append(request)
        turn = len(self.requests)
        failure = next((failure for failure in self._script.failures if failure.call == turn), None)
        seen = count()
        for event in self._events(request, turn):
            if failure is not None and next(seen) == failure.after:
                _fail(failure.error)
                return
            if self._script.delay:
                await self._clock.sleep(self._script.delay)
            yield event

    def _events(self, request: ChatRequest, turn: int) -> Iterator[ChatEvent]:
        reply = self._reply(request, turn)
        words, finish = _limited(reply.text, request.sampling)
        yield Started(self._card.id, "scripted")
        if reply.reasoning:
            yield ReasoningDelta(reply.reasoning)
        if reply.refusal:
            yield RefusalDelta(reply.refusal)
        yield from map(TextDelta, words)
        for index, call in enumerate(reply.calls):
            yield ToolCallDelta(index, json.dumps(call.arguments), f"call_{turn}_{index}", call.name)
        prompt = sum(len(_words(text.text)) for text in request.texts())
        hidden = len(_words(reply.reasoning))
        yield Usage(prompt, hidden + len(words) + len(_words(reply.refusal)) + len(reply.calls), reasoning=hidden)
        yield Finish("tool_calls" if reply.calls else finish)

    def _reply(self, request: ChatRequest, turn: int) -> Reply:
        if not self._script.replies:
            spoken = [message.text for message in request.messages if message.role == "user"]
            return Reply(spoken[-1] if self._script.echo and spoken else "")
        reply = self._script.replies[(turn - 1) % len(self._script.replies)]
        return Reply(reply) if isinstance(reply, str) else reply


class ScriptedEmbedder:
    """Texts that share words get vectors that are close: each word has a direction of its own."""

    def __init__(self, card: Card, dimensions: int) -> None:
        self._card = card
        self._dimensions = dimensions

    @property
    def card(self) -> Card:
        return self._card

    @property
    def dimensions(self) -> int:
        return self._dimensions

    async def embed(self, request: EmbedRequest) -> Embeddings:
        import numpy as np

        words = [re.findall(r"\w+", text.text.lower()) or [""] for text in request.texts]
        vectors = np.zeros((len(words), self._dimensions), np.float32)
        for row, text in enumerate(words):
            for word in text:
                digest = hashlib.sha256(word.encode()).digest()
                vectors[row, int.from_bytes(digest[:8]) % self._dimensions] += 1.0
        return Embeddings(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), sum(map(len, words)))


class ScriptedProvider:
    """``provider: scripted`` at the providers' door. An embedding model takes ``options: {dimensions: 64}``."""

    def __init__(self, context: ProviderContext) -> None:
        self._clock = context.clock

    def chat(self, settings: ModelSettings, card: Card) -> ChatModel:
        """Raises :class:`ConfigInvalid` where the options are no script."""
        try:
            script = msgspec.convert(settings.options, Script)
        except msgspec.ValidationError as error:
            raise ConfigInvalid(f"The options of {settings.id!r}: {error}.") from error
        return Scripted(card, script, self._clock)

    def embedder(self, settings: ModelSettings, card: Card) -> Embedder:
        dimensions = settings.options.get("dimensions", 64)
        if not isinstance(dimensions, int) or isinstance(dimensions, bool) or dimensions < 1:
            raise ConfigInvalid(f"The option 'dimensions' of {settings.id!r} must be a whole number above 0.")
        return ScriptedEmbedder(card, dimensions)

    async def start(self) -> None:
        """Nothing to start."""

    async def stop(self) -> None:
        """Nothing to stop."""


def _words(text: str) -> list[str]:
    """The text in pieces of one word and the space after it; joined they are the text."""
    return _WORD.findall(text)


def _limited(text: str, sampling: Sampling) -> tuple[list[str], FinishReason]:
    """What ``stop`` and ``max_tokens`` leave of a text."""
    ends = [at for stop in sampling.stop if stop and (at := text.find(stop)) >= 0]
    words = _words(text[: min(ends)] if ends else text)
    if sampling.max_tokens is not None and len(words) > sampling.max_tokens:
        return words[: sampling.max_tokens], "length"
    return words, "stop"


def _fail(fault: Fault) -> None:
    if fault != "cut":
        raise _FAILURES[fault]("The script says that this call fails.")
