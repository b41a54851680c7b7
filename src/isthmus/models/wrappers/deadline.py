"""A bound on the whole of a call. The transport bounds each silence; a server that drips comments is never silent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from isthmus.cards import Card
from isthmus.errors import UpstreamTimeout
from isthmus.messages import ChatEvent, ChatRequest
from isthmus.models.streams import closing
from isthmus.seams import ChatModel


class Deadline:
    """``seconds`` from the first iteration to the last event, on the loop's clock. Time that the caller takes between
    events counts too, but only a wait for the model is ever interrupted."""

    def __init__(self, model: ChatModel, seconds: float) -> None:
        self._model = model
        self._seconds = seconds

    @property
    def card(self) -> Card:
        return self._model.card

    async def stream(self, request: ChatRequest) -> AsyncIterator[ChatEvent]:
        """Raises :class:`UpstreamTimeout` once the time is up."""
        end = asyncio.get_running_loop().time() + self._seconds
        async with closing(self._model.stream(request)) as events:
            while True:
                try:
                    async with asyncio.timeout_at(end):
                        event = await anext(events)
                except StopAsyncIteration:
                    return
                except TimeoutError:
                    raise UpstreamTimeout(
                        f"{self.card.id} did not finish its answer within {self._seconds:g} seconds."
                    ) from None
                yield event
