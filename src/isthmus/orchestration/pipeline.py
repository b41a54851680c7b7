"""One request, one direction: the stops that every call of a model passes, once, in this order.

1. receive: the server has authenticated the principal and decoded the wire into frozen values.
2. label: join the labels of every piece of text; guards and recognised reuse may raise (``label``).
3. ground: retrieve what this principal may read, as untrusted text with labels of its own (``ground``).
4. admit: policy turns (principal, labels, purpose) into the models that may see this text (``admission``).
5. route: choose inside that set, and keep the reason (``router``).
6. answer: intent to the log, flushed before anything leaves; then the call, and failover inside the set (``answer``).
7. release: guards over the stream; the answer's label is the join of what went in (``release``).
8. record: the outcome on disk before the last byte; the receipt travels with it (``record``).

Nothing fails open: a stop that cannot do its work raises, and the refusal or failure is itself recorded.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from isthmus.cards import Card
from isthmus.errors import ModelNotFound
from isthmus.labels import Label
from isthmus.messages import ChatEvent, ChatRequest, EmbedRequest, Finish, Passage, Started, TextDelta
from isthmus.orchestration.admission import Admission, admit, admit_embedder, candidates
from isthmus.orchestration.answer import Caller
from isthmus.orchestration.close import Closer, Run
from isthmus.orchestration.ground import NOTHING_FOUND, Grounded, Grounder
from isthmus.orchestration.label import Findings, Labeller
from isthmus.orchestration.record import Intent, Recorder
from isthmus.orchestration.release import Release
from isthmus.orchestration.router.stated import Route, StatedRouter
from isthmus.orchestration.streams import Primed
from isthmus.seams import Embedder, Embeddings, Policy

NO_MODEL = "none"  # what answers where no model is asked


@dataclass(slots=True)
class Answer:
    """An answer that has begun. Iterate ``events`` to its end, then read ``facts``: the receipt is among them."""

    id: str
    model: str
    reason: str
    label: Label
    events: AsyncIterator[ChatEvent]
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Embedded:
    """Vectors, and the same facts as for an answer."""

    embeddings: Embeddings
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The stops, handed in by wiring. ``release`` makes the way out of one answer over its passages."""

    cards: Mapping[str, Card]
    labeller: Labeller
    grounder: Grounder
    policy: Policy
    router: StatedRouter
    caller: Caller
    embedders: Mapping[str, Embedder]
    release: Callable[[ChatRequest, Sequence[Passage]], Release]
    recorder: Recorder
    closer: Closer

    async def open(self, request: ChatRequest, knowledge: tuple[str, ...] = ()) -> Answer:
        """Stops 2 to 6. Returns once the model's first words are there, so that errors before them have a status."""
        candidates(request.model, self.cards)  # a model that does not exist is the client's mistake, not a decision
        findings = Findings()
        try:
            request, findings = await self.labeller.chat(request)  # 2
            grounded = await self.grounder.ground(request, knowledge)  # 3
            request = grounded.request
            if not grounded.relevant:
                return await self._abstain(grounded)
            admission = admit(request, self.cards, self.policy)  # 4
            route = self.router.route(request, admission)  # 5
            return await self._call(grounded, findings, admission, route)  # 6
        except BaseException as error:
            await asyncio.shield(self.recorder.stopped(request, error, findings))
            raise

    async def _call(self, grounded: Grounded, findings: Findings, admission: Admission, route: Route) -> Answer:
        request = grounded.request

        def intent(card: Card, attempt: int) -> Intent:
            return Intent(
                admission, card, route.reason, findings, grounded.passages, attempt, grounded.found, route.candidates
            )

        opened = await self.caller.open(request, route.candidates, intent)
        release = self.release(request, grounded.passages)
        run = Run(request, opened.card, route.reason, admission, grounded.passages, opened.reservation, release.found)
        facts: dict[str, Any] = {}
        events = await Primed.start(self.closer.close(run, release.events(opened.events), facts))  # 7, 8
        return Answer(request.id, opened.card.id, route.reason, request.label, events, facts)

    async def _abstain(self, grounded: Grounded) -> Answer:
        facts: dict[str, Any] = {}
        answer = self.closer.abstain(grounded.request, grounded.reason, _nothing_found(), facts)
        events = await Primed.start(answer)
        reason = "no model was asked: nothing relevant was found"
        return Answer(grounded.request.id, NO_MODEL, reason, grounded.request.label, events, facts)

    async def embed(self, request: EmbedRequest) -> Embedded:
        """The same stops for texts to embed: label, admit, intent, call, record."""
        card = self.cards.get(request.model)
        if card is None or card.kind != "embedding":
            raise ModelNotFound(f"There is no embedding model {request.model[:100]!r}.")
        findings = Findings()
        try:
            request, findings = await self.labeller.embed(request)
            admission = admit_embedder(request, card, self.policy)
            await self.recorder.intent(request, Intent(admission, card, f"{card.id} was named", findings))
            embeddings = await self.embedders[card.id].embed(request)
        except BaseException as error:
            await asyncio.shield(self.recorder.stopped(request, error, findings))
            raise
        return Embedded(embeddings, await self.closer.embedded(request, card, admission, embeddings.tokens))


async def _nothing_found() -> AsyncIterator[ChatEvent]:
    yield Started(NO_MODEL)
    yield TextDelta(NOTHING_FOUND)
    yield Finish("stop")
