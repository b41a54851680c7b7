"""The router before one is learned: a stated rule. Closed if admitted and the request asks for reasoning, else open."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from isthmus.cards import Card
from isthmus.messages import ChatRequest
from isthmus.orchestration.admission import AUTO, Admission

#: Efforts of OpenAI's ``reasoning_effort`` that do not ask for reasoning.
_LITTLE = frozenset({"none", "minimal", "low"})
_ASKS = re.compile(
    r"\b(step[- ]by[- ]step|think (hard|carefully|it through)|reason(ing)? (through|about|carefully)|prove that|"
    r"derive|weigh (up )?the|trade-?offs?|schritt für schritt|begründe|étape par étape|paso a paso)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Route:
    """``candidates`` best first, all admitted: the ones after the first are for failover. ``reason`` is for people."""

    candidates: tuple[Card, ...]
    reason: str


class StatedRouter:
    """``prefer`` orders models within a side; ``failover`` is how many further models ``auto`` may try."""

    def __init__(self, prefer: Sequence[str] = (), failover: int = 1) -> None:
        self._rank = {model: rank for rank, model in enumerate(prefer)}
        self._failover = failover

    def route(self, request: ChatRequest, admission: Admission) -> Route:
        """A model named is the only candidate: it is retried, never replaced."""
        if request.model != AUTO:
            return Route(admission.admitted[:1], f"{request.model} was named")
        reasoning = asks_for_reasoning(request)
        ranked = sorted(admission.admitted, key=lambda card: (card.open == reasoning, self._rank.get(card.id, 1_000)))
        return Route(tuple(ranked[: 1 + self._failover]), self._reason(request, admission, reasoning))

    def _reason(self, request: ChatRequest, admission: Admission, reasoning: bool) -> str:
        if not reasoning:
            return "open by default: the request does not ask for reasoning"
        if any(not card.open for card in admission.admitted):
            return "closed: the request asks for reasoning and policy admits it"
        denied = admission.denied()
        if not denied:
            return "open: the request asks for reasoning, but no closed model is configured"
        rules = ", ".join(sorted(set(denied.values())))
        return f"open although the request asks for reasoning: {rules} keeps {request.label.level} text here"


def asks_for_reasoning(request: ChatRequest) -> bool:
    """By ``reasoning_effort`` where it is set, else by the words of the last user turn."""
    if request.reasoning_effort is not None:
        return request.reasoning_effort not in _LITTLE
    last = next((message.text for message in reversed(request.messages) if message.role == "user"), "")
    return _ASKS.search(last) is not None
