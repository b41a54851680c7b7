"""A ``ChatModel`` over a GGUF file on this machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from isthmus.cards import Card
from isthmus.errors import ModelUnavailable, UpstreamFailed
from isthmus.messages import ChatEvent, ChatRequest, Started
from isthmus.models.llama_cpp import reply
from isthmus.models.llama_cpp.engine import Engine, LocalModel
from isthmus.models.llama_cpp.request import payload
from isthmus.models.llama_cpp.runtime import Runtime
from isthmus.models.streams import closing
from isthmus.models.weights import digest, locate


@dataclass(frozen=True, slots=True)
class Shape:
    """How a model runs: ``context`` tokens shared by ``parallel`` requests on ``threads`` cores; ``max_tokens``
    where a request says none."""

    context: int
    parallel: int
    threads: int
    max_tokens: int


class LlamaCpp:
    """``weights`` is a name that ``models.weights`` knows. The file is read when the first request comes."""

    def __init__(self, card: Card, weights: str, shape: Shape, runtime: Runtime[Engine]) -> None:
        self._card = card
        self._weights = weights
        self._shape = shape
        self._runtime = runtime
        self._local: LocalModel | None = None
        self._slots = asyncio.Semaphore(shape.parallel)

    @property
    def card(self) -> Card:
        return self._card

    async def stream(self, request: ChatRequest) -> AsyncIterator[ChatEvent]:
        """Raises :class:`InvalidRequest`, :class:`ContextTooLong`, :class:`ModelUnavailable` where the weights are not
        here or do not fit, and :class:`UpstreamFailed`."""
        body = await asyncio.to_thread(payload, request, self._shape.max_tokens)
        reader = reply.reader(request)
        model = await self._model()
        async with self._runtime.using(model) as engine, self._slots:
            try:
                await engine.require(body.get("grammar"))
                yield Started(self._card.id, model.digest)
                async with closing(engine.chunks(body)) as chunks, closing(reply.events(chunks, reader)) as events:
                    async for event in events:
                        yield event
            except (RuntimeError, ValueError) as error:  # what the runtime's binding raises
                raise UpstreamFailed("The local runtime failed.") from error

    async def _model(self) -> LocalModel:
        if self._local is None:
            self._local = await asyncio.to_thread(self._read)
        return self._local

    def _read(self) -> LocalModel:
        path = locate(self._weights)
        if path is None:
            raise ModelUnavailable(
                f"The weights of {self._card.id} are not on this machine.",
                hint=f"Fetch them: `isthmus models pull {self._weights}`.",
            )
        shape = self._shape
        # a file that nobody hashed yet, or that came after the card was made: the record must name what answers
        held = self._card.digest or digest(path)
        return LocalModel.read(
            self._card.id, path, context=shape.context, parallel=shape.parallel, threads=shape.threads, digest=held
        )
