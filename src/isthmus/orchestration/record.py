"""Stops 6 and 8, the evidence: intent before a call, outcome after it, and every refusal, as events of the log.

An event holds decisions, labels, ids and salted commitments; never content. Where the decision says ``keep``, content
is sealed in the vault first, and the event holds the hash of what was sealed. Money is written as decimal text, times
in whole milliseconds, so that the bytes that are hashed do not depend on how a float prints.
"""

from __future__ import annotations

import hashlib
import json
import re
from asyncio import CancelledError
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from isthmus.cards import Card
from isthmus.errors import IsthmusError
from isthmus.messages import ChatRequest, Completion, EmbedRequest, Passage, Text, Usage
from isthmus.orchestration.admission import Admission
from isthmus.orchestration.label import Findings
from isthmus.orchestration.sending import amount, receiver
from isthmus.seams import AuditLog, Decision, Receipt, Vault

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}")
#: An address of a person is no purpose.
_PURPOSE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/+-]{0,127}")


def money(card: Card, usage: Usage) -> dict[str, str]:
    """The cost of a call as text, to a millionth of the currency."""
    amount = Decimal(str(card.price.cost(usage))).quantize(Decimal("0.000001"))
    return {"amount": str(amount), "currency": card.price.currency}


@dataclass(frozen=True, slots=True)
class Intent:
    """What is about to be done, and why it may be. ``findings`` are those in what was asked, ``found`` those in the
    passages; ``candidates`` the models of the route, in order."""

    admission: Admission
    card: Card
    reason: str
    findings: Findings
    passages: Sequence[Passage] = ()
    attempt: int = 1
    found: Findings = field(default_factory=Findings)
    candidates: tuple[Card, ...] = ()


@dataclass(frozen=True, slots=True)
class Ended:
    """How a call ended: its answer, whole or in part, under which decision, the error's code if it failed, and what
    output guards cut out, by kind."""

    card: Card
    decision: Decision
    answer: Completion
    error: str | None = None
    redacted: Mapping[str, int] = field(default_factory=dict)


class Recorder:
    """Writes the events of one request. Every method raises :class:`isthmus.errors.AuditUnavailable` when it cannot."""

    def __init__(self, log: AuditLog, vault: Vault) -> None:
        self._log = log
        self._vault = vault

    async def intent(self, request: ChatRequest | EmbedRequest, intent: Intent) -> None:
        """On disk before a call that leaves the premises; written before any other. What is to be kept of the prompt
        is sealed and on disk before either. Raises :class:`isthmus.errors.StoreUnavailable` too."""
        card, decision = intent.card, intent.admission.decisions[intent.card.id]
        kept = await self._keep(request, card, decision, {"prompt": content(request)})
        event = {
            **_who(request, "intent"),
            "model": card.id,
            "asked": request.model,
            "locality": card.locality,
            **receiver(card),
            **amount(request),
            "rule": decision.rule,
            "obligations": sorted(decision.obligations),
            "policy": decision.policy,
            "reason": intent.reason,
            "admitted": intent.admission.allowed(),
            "denied": intent.admission.denied(),
            "candidates": [candidate.id for candidate in intent.candidates or (card,)],
            "findings": intent.findings.as_dict(),
            "found": intent.found.as_dict(),
            "passages": [_passage(passage) for passage in intent.passages],
            "prompt": await self._vault.commit(request.principal.id, request.id, content(request)),
            "attempt": intent.attempt,
            **kept,
        }
        await self._log.append(event, flush=card.leaves)

    async def outcome(self, request: ChatRequest, ended: Ended) -> int:
        """The answer's facts, on disk, after what is to be kept of it. Returns the entry's index.

        Where the vault fails, the entry says so and its error is raised: the answer must not end well.
        """
        card, answer = ended.card, ended.answer
        event = {
            **_who(request, "outcome"),
            "model": card.id,
            "snapshot": snapshot(answer.model),
            "weights": _weights(card, answer),
            "finish": answer.finish or "cut",
            "usage": {
                "prompt": answer.usage.prompt,
                "completion": answer.usage.completion,
                "cached": answer.usage.cached,
                "reasoning": answer.usage.reasoning,
                "estimated": answer.usage.estimated,
            },
            "cost": money(card, answer.usage),
            "redacted": dict(ended.redacted),
        }
        error = {"error": ended.error} if ended.error else {}
        try:
            kept = await self._keep(request, card, ended.decision, _said(answer))
            committed = await self._vault.commit(request.principal.id, request.id, answer.text)
        except IsthmusError as unavailable:
            await self._log.append({**event, "error": unavailable.code, **error}, flush=True)
            raise
        return await self._log.append({**event, "answer": committed, **kept, **error}, flush=True)

    async def _keep(
        self, request: ChatRequest | EmbedRequest, card: Card, decision: Decision, texts: Mapping[str, str]
    ) -> dict[str, object]:
        """Seal the texts, by kind, if the decision says so; what the entry tells of it."""
        if "keep" not in decision.obligations:
            return {}
        sealed = await self._vault.keep(request.principal.id, request.id, card.id, texts)
        return {"kept": True, "sealed": dict(sealed)}

    async def embedded(self, request: EmbedRequest, card: Card, tokens: int) -> int:
        """The outcome of an embedding call, on disk."""
        usage = Usage(prompt=tokens)
        facts = {"texts": len(request.texts), "tokens": tokens, "cost": money(card, usage), "weights": card.digest}
        return await self._log.append({**_who(request, "outcome"), "model": card.id, **facts}, flush=True)

    async def abstained(self, request: ChatRequest, reason: str) -> int:
        """No model was asked, because nothing relevant was found."""
        return await self._log.append({**_who(request, "abstained"), "reason": reason}, flush=True)

    async def failed(self, request: ChatRequest, error: IsthmusError, card: Card, attempt: int = 1) -> int:
        """One attempt that failed; another may follow."""
        event = {**_who(request, "failed"), "code": error.code, "model": card.id, "attempt": attempt}
        return await self._log.append(event, flush=False)

    async def stopped(
        self, request: ChatRequest | EmbedRequest, error: BaseException, findings: Findings | None = None
    ) -> int:
        """The request ended without an answer: refused or failed, with the rule that says so, or the client left.
        ``findings`` so far; a guard that blocked brings its own."""
        details: Mapping[str, object] = error.details if isinstance(error, IsthmusError) else {}
        told: dict[str, object] = {"findings": {} if findings is None else findings.as_dict()}
        told |= {key: details[key] for key in ("rule", "rules", "policy", "findings") if key in details}
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
        "purpose": stated(request.purpose),
        "label": request.label.as_dict(),
        **_part_of(request),
    }


def _part_of(request: ChatRequest | EmbedRequest) -> dict[str, object]:
    """Of a text to embed: the request that it is part of, the collection where it belongs."""
    told = {"of": request.of, "collection": request.collection} if isinstance(request, EmbedRequest) else {}
    return {name: value for name, value in told.items() if value}


def _weights(card: Card, answer: Completion) -> str:
    """The digest of the weights that answered: the card's, or what the runtime found when it loaded them. (What a
    vendor sends in its place is its own.)"""
    loaded = card.locality == "in_process" and answer.fingerprint.startswith("sha256:")
    return card.digest or (answer.fingerprint if loaded else "")


def snapshot(model: str) -> str:
    """The vendor's own name of the model that answered. It is the vendor's text: what is no name is a digest."""
    return model if _NAME.fullmatch(model) else _digest(model)


def stated(purpose: str) -> str:
    """The purpose as the record has it. It is the client's text: what is no name is a digest."""
    return purpose if _PURPOSE.fullmatch(purpose) else _digest(purpose)


def _digest(text: str) -> str:
    """Of nothing, nothing."""
    return text and "sha256:" + hashlib.sha256(text.encode("utf8", "replace")).hexdigest()


def _passage(passage: Passage) -> dict[str, object]:
    return {"document": passage.document, "chunk": passage.chunk, "collection": passage.collection}


def content(request: ChatRequest | EmbedRequest) -> str:
    """What is committed to, and kept: all that is sent, in order, so that a dispute can be settled. Of a plain
    question it is the texts, as they are."""
    pieces = _sent(request) if isinstance(request, ChatRequest) else (text.text for text in request.texts)
    return "\x1e".join(pieces)


def _sent(request: ChatRequest) -> Iterator[str]:
    """Texts and images as they stand in the messages, then what else a model reads: tools, a schema, stop words."""
    for message in request.messages:
        yield from (part.text if isinstance(part, Text) else part.url for part in message.parts)
        yield from (json.dumps([call.name, call.arguments]) for call in message.tool_calls)
    for tool in request.tools:
        yield json.dumps([tool.name, tool.description, tool.parameters], default=dict)
    if request.format is not None and request.format.schema is not None:
        yield json.dumps(request.format.schema, default=dict)
    yield from request.sampling.stop


def _said(answer: Completion) -> dict[str, str]:
    """What is kept of an answer, by kind: its text always, the rest where there is any."""
    calls = [{"name": call.name, "arguments": call.arguments} for call in answer.tool_calls]
    rest = {
        "reasoning": answer.reasoning,
        "refusal": answer.refusal,
        "calls": json.dumps(calls) if calls else "",
    }
    return {"answer": answer.text, **{kind: text for kind, text in rest.items() if text}}
