"""Stops 6 and 8, the evidence: intent before a call, outcome after it, and every refusal, as events of the log.

An event holds decisions, labels, ids and salted commitments; never content. Money is written as decimal text, times in
whole milliseconds, so that the bytes that are hashed do not depend on how a float prints.
"""

from __future__ import annotations

from asyncio import CancelledError
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from isthmus.cards import Card
from isthmus.errors import IsthmusError
from isthmus.messages import ChatRequest, Completion, EmbedRequest, Passage, Usage
from isthmus.orchestration.admission import Admission
from isthmus.orchestration.label import Findings
from isthmus.seams import AuditLog, Receipt, Vault


def money(card: Card, usage: Usage) -> dict[str, str]:
    """The cost of a call as text, to a millionth of the currency."""
    amount = Decimal(str(card.price.cost(usage))).quantize(Decimal("0.000001"))
    return {"amount": str(amount), "currency": card.price.currency}


@dataclass(frozen=True, slots=True)
class Intent:
    """What is about to be done, and why it may be."""

    admission: Admission
    card: Card
    reason: str
    findings: Findings
    passages: Sequence[Passage] = ()
    attempt: int = 1


class Recorder:
    """Writes the events of one request. Every method raises :class:`isthmus.errors.AuditUnavailable` when it cannot."""

    def __init__(self, log: AuditLog, vault: Vault) -> None:
        self._log = log
        self._vault = vault

    async def intent(self, request: ChatRequest | EmbedRequest, intent: Intent) -> None:
        """On disk before a call that leaves the premises; written before any other."""
        card, decision = intent.card, intent.admission.decisions[intent.card.id]
        event = {
            **_who(request, "intent"),
            "model": card.id,
            "locality": card.locality,
            "rule": decision.rule,
            "policy": decision.policy,
            "reason": intent.reason,
            "admitted": [admitted.id for admitted in intent.admission.admitted],
            "denied": intent.admission.denied(),
            "findings": intent.findings.as_dict(),
            "passages": [_passage(passage) for passage in intent.passages],
            "prompt": self._vault.commit(request.id, _content(request)),
            "attempt": intent.attempt,
        }
        await self._log.append(event, flush=card.leaves)

    async def outcome(self, request: ChatRequest, card: Card, answer: Completion, facts: Mapping[str, object]) -> int:
        """The answer's facts, on disk. Returns the entry's index."""
        event = {
            **_who(request, "outcome"),
            "model": card.id,
            "snapshot": answer.model,
            "weights": card.digest,
            "finish": answer.finish or "cut",
            "usage": {
                "prompt": answer.usage.prompt,
                "completion": answer.usage.completion,
                "cached": answer.usage.cached,
                "reasoning": answer.usage.reasoning,
                "estimated": answer.usage.estimated,
            },
            "cost": money(card, answer.usage),
            "answer": self._vault.commit(request.id, answer.text),
            **facts,
        }
        return await self._log.append(event, flush=True)

    async def embedded(self, request: EmbedRequest, card: Card, tokens: int) -> int:
        """The outcome of an embedding call, on disk."""
        usage = Usage(prompt=tokens)
        facts = {"texts": len(request.texts), "tokens": tokens, "cost": money(card, usage), "weights": card.digest}
        return await self._log.append({**_who(request, "outcome"), "model": card.id, **facts}, flush=True)

    async def abstained(self, request: ChatRequest, reason: str) -> int:
        """No model was asked, because nothing relevant was found."""
        return await self._log.append({**_who(request, "abstained"), "reason": reason}, flush=True)

    async def failed(self, request: ChatRequest, error: IsthmusError, card: Card) -> int:
        """One attempt that failed; another may follow."""
        return await self._log.append({**_who(request, "failed"), "code": error.code, "model": card.id}, flush=False)

    async def stopped(self, request: ChatRequest | EmbedRequest, error: BaseException) -> int:
        """The request ended without an answer: refused or failed, with the rule that says so, or the client left."""
        details: Mapping[str, object] = error.details if isinstance(error, IsthmusError) else {}
        told: dict[str, object] = {key: details[key] for key in ("rule", "rules", "policy") if key in details}
        event = {**_who(request, "stopped"), "code": code(error), "model": request.model, **told}
        return await self._log.append(event, flush=True)

    async def receipt(self, index: int) -> Receipt:
        """The proof that the entry is in the log."""
        return await self._log.receipt(index)


def code(error: BaseException) -> str:
    """What the record calls it: our own code, a client that left, or a fault that nobody foresaw."""
    if isinstance(error, IsthmusError):
        return error.code
    return "cancelled" if isinstance(error, GeneratorExit | CancelledError) else IsthmusError.code


def _who(request: ChatRequest | EmbedRequest, type: str) -> dict[str, object]:
    return {
        "type": type,
        "request": request.id,
        "principal": request.principal.id,
        "purpose": request.purpose,
        "label": request.label.as_dict(),
    }


def _passage(passage: Passage) -> dict[str, object]:
    return {"document": passage.document, "chunk": passage.chunk, "collection": passage.collection}


def _content(request: ChatRequest | EmbedRequest) -> str:
    """What is committed to: every text that is sent, in order, so that a dispute can be settled by opening it."""
    texts = request.texts() if isinstance(request, ChatRequest) else request.texts
    return "\x1e".join(text.text for text in texts)
