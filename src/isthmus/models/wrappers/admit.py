"""The boundary in code: whoever calls a model, the policy is asked first, for this text's label. Fails closed."""

from __future__ import annotations

from collections.abc import AsyncIterator

from isthmus.cards import Card
from isthmus.errors import PolicyDenied, ReviewRequired
from isthmus.messages import ChatEvent, ChatRequest, EmbedRequest
from isthmus.models.streams import closing
from isthmus.seams import Ask, ChatModel, Decision, Embedder, Embeddings, Obligation, Policy

NONE: frozenset[Obligation] = frozenset()


class Admitted:
    """A chat model that asks the policy before every call, on the first iteration, before a byte is sent.

    ``meets`` names the obligations that the caller's pipeline fulfils; one that nobody does is a refusal.
    """

    def __init__(self, model: ChatModel, policy: Policy, meets: frozenset[Obligation] = NONE) -> None:
        self._model = model
        self._policy = policy
        self._meets = meets

    @property
    def card(self) -> Card:
        return self._model.card

    async def stream(self, request: ChatRequest) -> AsyncIterator[ChatEvent]:
        """Raises :class:`PolicyDenied` or :class:`ReviewRequired`, besides what the model raises."""
        _admit(request, self.card, self._policy, self._meets)
        async with closing(self._model.stream(request)) as events:
            async for event in events:
                yield event


class AdmittedEmbedder:
    """An embedder that asks the policy before every call."""

    def __init__(self, embedder: Embedder, policy: Policy, meets: frozenset[Obligation] = NONE) -> None:
        self._embedder = embedder
        self._policy = policy
        self._meets = meets

    @property
    def card(self) -> Card:
        return self._embedder.card

    @property
    def dimensions(self) -> int:
        return self._embedder.dimensions

    async def embed(self, request: EmbedRequest) -> Embeddings:
        """Raises :class:`PolicyDenied` or :class:`ReviewRequired`, besides what the embedder raises."""
        _admit(request, self.card, self._policy, self._meets)
        return await self._embedder.embed(request)


def _admit(request: ChatRequest | EmbedRequest, card: Card, policy: Policy, meets: frozenset[Obligation]) -> None:
    decision = policy.decide(Ask(request.principal, card, request.label, request.purpose))
    if not decision.allowed:
        why = f": {decision.reason}" if decision.reason else ""
        raise PolicyDenied(
            f"The rule {decision.rule!r} does not allow this text at {card.id}{why}.", details=_details(decision, card)
        )
    unmet = sorted(decision.obligations - meets)
    if not unmet:
        return
    refusal = ReviewRequired if "review" in unmet else PolicyDenied
    raise refusal(
        f"The rule {decision.rule!r} allows this text at {card.id} only with: {', '.join(unmet)}.",
        details={**_details(decision, card), "obligations": unmet},
    )


def _details(decision: Decision, card: Card) -> dict[str, object]:
    return {"rule": decision.rule, "model": card.id, "policy": decision.policy}
