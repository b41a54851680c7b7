"""Stop 8, record: how an answer ends, whichever way it ends.

A finished answer, a failure midway, a guard that blocks, a client that leaves: each is settled against the budget, its
fingerprints are kept so that it is recognised when it comes back, and its outcome is on disk before the last byte.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

from isthmus.cards import Card
from isthmus.labels import PUBLIC, Label, Level
from isthmus.messages import ChatEvent, ChatRequest, Completion, EmbedRequest, Passage, TextDelta, Usage, fold
from isthmus.models.streams import closing
from isthmus.orchestration.admission import Admission
from isthmus.orchestration.record import Ended, Recorder, code, money
from isthmus.seams import Limits, Provenance

_CHARACTERS_PER_TOKEN = 4
#: IPTC's digital source type of what a model makes, for machine-readable marking.
SYNTHETIC = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"


class Citation(Protocol):
    def as_dict(self) -> dict[str, object]: ...


@dataclass(frozen=True, slots=True)
class Run:
    """What is known of a call when its answer begins; ``redacted`` tells what output guards found by its end."""

    request: ChatRequest
    card: Card
    reason: str
    admission: Admission
    passages: Sequence[Passage]
    reservation: str
    redacted: Callable[[], Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class Closer:
    """``cite`` resolves an answer's citations against the passages it was given."""

    recorder: Recorder
    provenance: Provenance
    limits: Limits
    cite: Callable[[str, Sequence[Passage]], Sequence[Citation]]

    async def close(
        self, run: Run, events: AsyncIterator[ChatEvent], facts: dict[str, Any]
    ) -> AsyncIterator[ChatEvent]:
        """The same events; when they end, the outcome is recorded and ``facts`` is filled."""
        seen: list[ChatEvent] = []
        memory = _Memory(self.provenance, run.request)
        try:
            async with closing(events):
                async for event in events:
                    seen.append(event)
                    memory.hear(event)
                    yield event
        except BaseException as error:
            await asyncio.shield(self._end(run, fold(seen), code(error)))
            raise
        facts.update(await self._end(run, fold(seen), None))

    async def abstain(
        self, request: ChatRequest, reason: str, events: AsyncIterator[ChatEvent], facts: dict[str, Any]
    ) -> AsyncIterator[ChatEvent]:
        """The answer that no model gave, recorded like any other."""
        seen: list[ChatEvent] = []
        async for event in events:
            seen.append(event)
            yield event
        self.provenance.remember(fold(seen).text, PUBLIC, "", request.principal.id)  # it tells of no document
        index = await self.recorder.abstained(request, reason)
        facts.update(
            {"request": request.id, "model": "none", "reason": reason, "relevant": False, "citations": []},
            label=_label(request.label),
            receipt=asdict(await self.recorder.receipt(index)),
        )

    async def embedded(self, request: EmbedRequest, card: Card, admission: Admission, tokens: int) -> dict[str, object]:
        """The facts of an embedding call, once it is recorded."""
        index = await self.recorder.embedded(request, card, tokens)
        return {
            "request": request.id,
            "model": card.id,
            "rule": admission.decisions[card.id].rule,
            "policy": admission.policy,
            "label": _label(request.label),
            "cost": money(card, Usage(prompt=tokens)),
            "receipt": asdict(await self.recorder.receipt(index)),
        }

    async def _end(self, run: Run, answer: Completion, error: str | None) -> dict[str, object]:
        answer = replace(answer, usage=_usage(run.request, answer))
        self.limits.settle(run.reservation, run.card.price.cost(answer.usage))
        calls = [call.arguments for call in answer.tool_calls]
        _remember(self.provenance, run.request, answer.text, answer.reasoning, *calls)
        await self.provenance.keep(run.request.label)
        citations = [citation.as_dict() for citation in self.cite(answer.text, run.passages)]
        decision = run.admission.decisions[run.card.id]
        index = await self.recorder.outcome(run.request, Ended(run.card, decision, answer, error, run.redacted()))
        return {
            **_facts(run, answer),
            "citations": citations,
            "receipt": asdict(await self.recorder.receipt(index)),
        }


class _Memory:
    """Remembers an answer while it streams: what a client has read of it is recognised before it has all of it."""

    _EVERY, _OVERLAP = 120, 60  # characters

    def __init__(self, provenance: Provenance, request: ChatRequest) -> None:
        self._provenance, self._request = provenance, request
        self._text, self._heard = "", 0

    def hear(self, event: ChatEvent) -> None:
        """Take in what is about to be released."""
        if not isinstance(event, TextDelta) or self._request.label.level == Level.PUBLIC:
            return
        self._text += event.text
        self._heard += len(event.text)
        if self._heard >= self._EVERY:
            _remember(self._provenance, self._request, self._text)
            self._text, self._heard = self._text[-self._OVERLAP :], 0


def _remember(provenance: Provenance, request: ChatRequest, *texts: str) -> None:
    for text in texts:
        if text.strip():
            provenance.remember(text, request.label, _typed(request), request.principal.id)


def _typed(request: ChatRequest) -> str:
    """What was typed under a lower label than the answer's: repeating it tells nothing of the answer."""
    texts = (text for text in request.texts() if text.origin == "typed" and not request.label.flows_to(text.label))
    return "\n".join(text.text for text in texts)


def _facts(run: Run, answer: Completion) -> dict[str, object]:
    return {
        "request": run.request.id,
        "model": run.card.id,
        "reason": run.reason,
        "rule": run.admission.decisions[run.card.id].rule,
        "policy": run.admission.policy,
        "label": _label(run.request.label),
        "admitted": run.admission.allowed(),
        "denied": run.admission.denied(),
        "cost": money(run.card, answer.usage),
        "synthetic": SYNTHETIC,
    }


def _usage(request: ChatRequest, answer: Completion) -> Usage:
    """The vendor's count, or an estimate where the stream ended before it came."""
    if answer.usage.total:
        return answer.usage
    prompt = sum(len(text.text) for text in request.texts()) // _CHARACTERS_PER_TOKEN
    return Usage(prompt, len(answer.text) // _CHARACTERS_PER_TOKEN, estimated=True)


def _label(label: Label) -> dict[str, object]:
    """The parts, and one line for people."""
    return {**label.as_dict(), "text": str(label)}
