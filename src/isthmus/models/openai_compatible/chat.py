"""A chat model behind OpenAI's protocol. Always streamed: a whole answer is the fold of a stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

from isthmus.cards import Card
from isthmus.errors import Upstream, UpstreamFailed
from isthmus.messages import ChatEvent, ChatRequest
from isthmus.models.openai_compatible import failures
from isthmus.models.openai_compatible.endpoint import Endpoint, read
from isthmus.models.openai_compatible.failures import Failure
from isthmus.models.streams import closing
from isthmus.seams import HttpResponse
from isthmus.wire.openai_upstream import encode_chat, estimate_tokens
from isthmus.wire.openai_upstream_answer import AnswerDecoder
from isthmus.wire.openai_upstream_chunk import DONE, StreamError
from isthmus.wire.sse import EventDecoder

MOST_BYTES = 16_000_000  # of an answer that comes whole
DRAIN = 0.1  # seconds for what follows [DONE], so that the connection can be used again


class OpenAICompatibleChat:
    """``card`` is the catalogue's entry, ``endpoint`` the server."""

    def __init__(self, card: Card, endpoint: Endpoint) -> None:
        self._card = card
        self._endpoint = endpoint

    @property
    def card(self) -> Card:
        return self._card

    async def stream(self, request: ChatRequest) -> AsyncIterator[ChatEvent]:
        """Raises :class:`Upstream` where the server fails, and :class:`InvalidRequest` where it, or its dialect,
        does not take the request."""
        body = encode_chat(request, self._endpoint.model, self._endpoint.row.dialect)
        answer = AnswerDecoder(self._endpoint.model, estimate_tokens(request))
        response = await self._endpoint.post("/chat/completions", body)
        try:
            if response.status != 200:
                self._refuse(await failures.of(response, body), answer)
            else:
                async with closing(_payloads(response, answer)) as payloads:
                    async for payload in payloads:
                        for event in self._feed(payload, answer):
                            yield event
            for event in answer.end():
                yield event
        finally:
            await response.close()

    def _feed(self, payload: bytes, answer: AnswerDecoder) -> Iterator[ChatEvent]:
        try:
            yield from answer.feed(payload)
        except StreamError as error:
            self._refuse(failures.midway(error.payload), answer)

    def _refuse(self, failure: Failure, answer: AnswerDecoder) -> None:
        """The vendor's own filter is an answer; anything else is an error."""
        if not failure.filtered:
            raise failure.error(self._card.id) from None
        answer.filter()


def _payloads(response: HttpResponse, answer: AnswerDecoder) -> AsyncIterator[bytes]:
    """What to read by the type that the server says: JSON is an answer that was not streamed; a page is no answer;
    everything else is taken for a stream, and has no finish if it is none."""
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind == "text/html":
        raise UpstreamFailed("A web page answers in the model's place.", hint="Check the model's `base_url`.")
    return _whole(response) if kind == "application/json" else _streamed(response, answer)


async def _whole(response: HttpResponse) -> AsyncIterator[bytes]:
    yield await read(response, MOST_BYTES)


async def _streamed(response: HttpResponse, answer: AnswerDecoder) -> AsyncIterator[bytes]:
    """The payloads up to ``[DONE]``. What becomes of the connection after the finish loses nothing."""
    events = EventDecoder()
    chunks = response.chunks()
    try:
        async for chunk in chunks:
            for payload in events.feed(chunk):
                if payload.strip() == DONE:
                    await _drain(chunks)
                    return
                yield payload
    except Upstream:
        if not answer.finished:
            raise
    for payload in events.close():
        if payload.strip() != DONE:
            yield payload


async def _drain(chunks: AsyncIterator[bytes]) -> None:
    with suppress(Upstream, TimeoutError):
        async with asyncio.timeout(DRAIN):
            async for _ in chunks:
                pass
