"""Stop 6, answer: intent to the log, then the call; failover stays inside the admitted set and re-checks it.

The models held here are wrapped by ``models.wrappers.admit``: each call asks the policy again, whatever was decided
before. A refusal by a model or by the policy is an answer; only an outage moves on to the next candidate.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, replace

from isthmus.cards import Card
from isthmus.errors import LimitExceeded, Upstream, UpstreamFailed
from isthmus.messages import ChatEvent, ChatRequest, Finish, Started, Usage
from isthmus.models.streams import closing
from isthmus.orchestration.record import Intent, Recorder
from isthmus.orchestration.streams import Primed
from isthmus.seams import ChatModel, Limits

_CHARACTERS_PER_TOKEN = 3  # an over-estimate of tokens, for reserving
_ANSWER_TOKENS = 1024


@dataclass(frozen=True, slots=True)
class Opened:
    """A call whose first event has arrived: from here on it is never silently started again."""

    card: Card
    events: AsyncIterator[ChatEvent]
    reservation: str


class Caller:
    """Calls the candidates of a route in turn until one answers."""

    def __init__(self, models: Mapping[str, ChatModel], recorder: Recorder, limits: Limits) -> None:
        self._models = models
        self._recorder = recorder
        self._limits = limits

    async def open(
        self, request: ChatRequest, candidates: tuple[Card, ...], intent: Callable[[Card, int], Intent]
    ) -> Opened:
        """The first candidate's answer. Raises the last candidate's error where none answers."""
        last: Upstream | LimitExceeded = UpstreamFailed("No model could be asked.")
        for attempt, card in enumerate(candidates, 1):
            try:
                reservation = self._limits.reserve(request.principal, card, _estimate(request, card))
            except LimitExceeded as error:
                await self._recorder.failed(request, error, card, attempt)
                last = error
                continue
            try:
                await self._recorder.intent(request, intent(card, attempt))
                events = self._models[card.id].stream(replace(request, model=card.id))
                return Opened(card, await Primed.start(_checked(events)), reservation)
            except Upstream as error:
                self._limits.settle(reservation, 0.0)
                await self._recorder.failed(request, error, card, attempt)
                last = error
            except BaseException:
                self._limits.settle(reservation, 0.0)
                raise
        raise last


def _estimate(request: ChatRequest, card: Card) -> float:
    """What the call may cost at most, or about it where the request sets no limit of its own."""
    characters = sum(len(text.text) for text in request.texts())
    completion = request.sampling.max_tokens or _ANSWER_TOKENS
    return card.price.cost(Usage(characters // _CHARACTERS_PER_TOKEN + 1, completion))


async def _checked(events: AsyncIterator[ChatEvent]) -> AsyncIterator[ChatEvent]:
    """The same events, from the first one with content on, so that a failure before it can still move on.

    Raises :class:`UpstreamFailed` where the stream ends without its end.
    """
    held: list[ChatEvent] = []
    finished = False
    async with closing(events):
        async for event in events:
            held.append(event)
            if isinstance(event, Started):
                continue
            finished = finished or isinstance(event, Finish)
            for ready in held:
                yield ready
            held.clear()
    if not finished:
        raise UpstreamFailed("The model's answer was cut before its end.")
